//! Decoding against what Pillow makes of the same files, and the limits.

use libvision::image::{self, DecodeLimits, ImageFormat, ImageSource, PixelFormat, Pixels, RawPixels};
use libvision::{Error, ErrorKind};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/decode")
}

fn picture(name: &str) -> Vec<u8> {
    std::fs::read(golden().join("pictures").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn decode(bytes: &[u8], apply_orientation: bool) -> Result<Pixels, Error> {
    image::decode(bytes, &DecodeLimits::default(), apply_orientation)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of `expected.txt`; see `make_decode.py`.
struct Expected {
    name: String,
    size: (usize, usize),
    close: bool,
    digest: String,
    upright: Option<(usize, usize, String)>,
}

fn expected() -> Vec<Expected> {
    let text = std::fs::read_to_string(golden().join("expected.txt")).expect("in the repository");
    let number = |field: &str| field.parse().expect("a number");
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            Expected {
                name: fields[0].to_owned(),
                size: (number(fields[1]), number(fields[2])),
                close: fields[3] == "close",
                digest: fields[4].to_owned(),
                upright: fields
                    .get(7)
                    .map(|digest| (number(fields[5]), number(fields[6]), digest.to_string())),
            }
        })
        .collect()
}

/// Mean and largest difference.
fn differences(found: &Pixels, expected: &Pixels) -> (f64, u8) {
    let pairs = found.data.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b));
    let (sum, largest) = pairs.fold((0_u64, 0), |(sum, largest), d| (sum + u64::from(d), largest.max(d)));
    (sum as f64 / found.data.len() as f64, largest)
}

#[test]
fn every_golden_picture_equals_pillow() {
    let cases = expected();
    assert!(cases.len() > 140, "{} pictures", cases.len());
    let mut faults = Vec::new();
    let (mut exact, mut worst) = (0, (0.0_f64, 0_u8));
    for case in &cases {
        let bytes = picture(&case.name);
        let pixels = match decode(&bytes, false) {
            Ok(pixels) => pixels,
            Err(error) => {
                faults.push(format!("{}: {error:?}", case.name));
                continue;
            }
        };
        if (pixels.width, pixels.height) != case.size {
            faults.push(format!("{}: size {} x {}", case.name, pixels.width, pixels.height));
            continue;
        }
        if sha256(&pixels.data) == case.digest {
            exact += 1;
        } else if case.close {
            let path = golden().join("close").join(format!("{}.png", case.name));
            let pillow = decode(&std::fs::read(path).expect("in the repository"), false).expect("a PNG");
            let (mean, largest) = differences(&pixels, &pillow);
            worst = (worst.0.max(mean), worst.1.max(largest));
            if mean >= 0.5 || largest > 16 {
                faults.push(format!("{}: mean difference {mean:.3}, largest {largest}", case.name));
            }
        } else {
            faults.push(format!("{}: other pixels", case.name));
        }
    }
    println!(
        "{} pictures, {exact} exact, of the others mean {:.3}, largest {}",
        cases.len(),
        worst.0,
        worst.1
    );
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn orientation_is_applied_only_on_request() {
    let mut seen = 0;
    for case in expected() {
        let Some((width, height, digest)) = case.upright else { continue };
        let upright = decode(&picture(&case.name), true).expect("decodes");
        assert_eq!((upright.width, upright.height), (width, height), "{}", case.name);
        if !case.close {
            assert_eq!(sha256(&upright.data), digest, "{}", case.name);
        }
        // The stored pixels of JPEG are only close to Pillow's: compare with our own, turned.
        let stored = decode(&picture(&case.name), false).expect("decodes");
        let header = image::read_header(&picture(&case.name), &DecodeLimits::default()).expect("decodes");
        assert!(header.orientation.apply(stored) == upright, "{}", case.name);
        seen += 1;
    }
    assert_eq!(seen, 8 + 8 + 2, "JPEG, PNG and WebP files with an orientation");
}

#[test]
fn bytes_between_jpeg_segments_are_skipped_as_in_libjpeg() {
    let jpeg = picture("baseline_420_45x35.jpg");
    let expected = decode(&jpeg, false).expect("decodes");
    let place_of = |marker: [u8; 2]| jpeg.windows(2).position(|pair| pair == marker).expect("it is there");
    let extras: [&[u8]; 7] = [
        &[1, 2, 3],
        &[0; 9],
        &[0xff; 4],
        &[0xff, 0],
        &[0xff, 0xd0],
        &[0xff, 0xdc, 0, 4, 0, 35],
        &[0xff, 0xfe, 0, 4, 0xff, 0xd9],
    ];
    for marker in [[0xff, 0xdb], [0xff, 0xc0], [0xff, 0xda]] {
        for extra in extras {
            let at = place_of(marker);
            let bytes = [&jpeg[..at], extra, &jpeg[at..]].concat();
            let pixels =
                decode(&bytes, false).unwrap_or_else(|error| panic!("{extra:?} {marker:?}: {error}"));
            assert!(pixels == expected, "{extra:?} before {marker:?}");
        }
    }
    let followed = [&jpeg[..], b"\xff\xd8 more bytes"].concat();
    assert!(decode(&followed, false).expect("decodes") == expected);
}

#[test]
fn the_header_says_what_decoding_gives() {
    for case in expected() {
        let bytes = picture(&case.name);
        let header = image::read_header(&bytes, &DecodeLimits::default()).expect("a header");
        let extension = case.name.rsplit('.').next().expect("an extension");
        let format = match extension {
            "jpg" => ImageFormat::Jpeg,
            "png" => ImageFormat::Png,
            "webp" => ImageFormat::WebP,
            "gif" => ImageFormat::Gif,
            _ => ImageFormat::Bmp,
        };
        assert_eq!((header.format, (header.width, header.height)), (format, case.size), "{}", case.name);
        assert!(header.decode_bytes >= header.width * header.height * 3, "{}", case.name);
    }
}

#[test]
fn each_limit_is_named_with_what_was_found() {
    let bytes = picture("rgb8.png");
    let generous = DecodeLimits::default();
    let encoded = bytes.len();
    for (limits, words) in [
        (DecodeLimits { max_pixels: 45 * 35 - 1, ..generous }, ["max_pixels", "1575", "1574"]),
        (DecodeLimits { max_side: 44, ..generous }, ["max_side", "45", "44"]),
        (
            DecodeLimits { max_encoded_bytes: encoded - 1, ..generous },
            ["max_encoded_bytes", "found", "allows"],
        ),
    ] {
        let error = image::decode(&bytes, &limits, false).map(|_| ()).expect_err("too costly");
        assert_eq!(error.kind(), ErrorKind::ImageTooCostly);
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
    }
    let progressive = picture("progressive_444_45x35.jpg");
    let limits = DecodeLimits { max_progressive_scans: 3, ..generous };
    let error = image::decode(&progressive, &limits, false).map(|_| ()).expect_err("too costly");
    assert_eq!(error.kind(), ErrorKind::ImageTooCostly);
    assert!(error.message().contains("max_progressive_scans"), "{error}");
    let exactly = DecodeLimits { max_pixels: 45 * 35, max_side: 45, max_encoded_bytes: encoded, ..generous };
    assert!(image::decode(&bytes, &exactly, false).is_ok(), "a limit may be reached");
}

#[test]
fn files_are_checked_before_they_are_read() {
    let limits = DecodeLimits::default();
    let path = golden().join("pictures/rgb8.png");
    let from_path = image::load(&ImageSource::Path(path.clone()), &limits, false).expect("decodes");
    let from_bytes = image::load(&ImageSource::Encoded(picture("rgb8.png").into()), &limits, false);
    assert!(from_path == from_bytes.expect("decodes"));

    let kind_of = |path: &Path, limits: &DecodeLimits| {
        let error =
            image::load(&ImageSource::Path(path.into()), limits, false).map(|_| ()).expect_err("fails");
        assert!(error.message().contains(&path.display().to_string()), "{error}");
        error.kind()
    };
    let small = DecodeLimits { max_encoded_bytes: 10, ..limits };
    assert_eq!(kind_of(&path, &small), ErrorKind::ImageTooCostly);
    assert_eq!(kind_of(Path::new("no/such/file.png"), &limits), ErrorKind::FileNotFound);
    assert_eq!(kind_of(&golden(), &limits), ErrorKind::FileUnreadable);
    let text = golden().join("expected.txt");
    assert_eq!(kind_of(&text, &limits), ErrorKind::ImageFormatUnknown);
}

#[test]
fn raw_pixels_are_copied_without_their_padding_and_alpha() {
    let limits = DecodeLimits::default();
    let raw = |width, height, format, row_stride, length: usize| {
        let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let raw = RawPixels { width, height, format, row_stride, data: data.into() };
        image::load(&ImageSource::Pixels(raw), &limits, true)
    };
    let rgb = raw(2, 2, PixelFormat::Rgb, 8, 14).expect("fits");
    assert_eq!(rgb.data[..], [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]);
    let rgba = raw(2, 1, PixelFormat::Rgba, 8, 8).expect("fits");
    assert_eq!(rgba.data[..], [0, 1, 2, 4, 5, 6]);
    for (result, kind, words) in [
        (raw(2, 2, PixelFormat::Rgb, 8, 13), ErrorKind::InvalidArgument, "14"),
        (raw(2, 2, PixelFormat::Rgba, 7, 99), ErrorKind::InvalidArgument, "row_stride"),
        (raw(0, 2, PixelFormat::Rgb, 8, 99), ErrorKind::InvalidArgument, "0 x 2"),
        (raw(2, 2, PixelFormat::Rgb, usize::MAX, 99), ErrorKind::InvalidArgument, "row_stride"),
        (raw(20_000, 1, PixelFormat::Rgb, 60_000, 9), ErrorKind::ImageTooCostly, "max_side"),
        (raw(usize::MAX, 1, PixelFormat::Rgba, 9, 9), ErrorKind::ImageTooCostly, "max_side"),
    ] {
        let error = result.map(|_| ()).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}
