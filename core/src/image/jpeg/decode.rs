//! Feeds the JPEG decoder and converts CMYK and YCCK as Pillow does.

use super::segments::{Component, Frame, Segments, Until, walk, without_extras};
use crate::error::{Error, Result};
use crate::image::failure::Place;
use crate::image::format::{ImageFormat, ImageHeader};
use crate::image::limits::DecodeLimits;
use crate::image::pixels::Pixels;
use std::borrow::Cow;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Reads the file as far as its first scan header.
pub(in crate::image) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let segments = walk(bytes, Until::FirstScan)?;
    let frame = frame_of(&segments)?;
    limits.check_size(frame.width, frame.height)?;
    Ok(ImageHeader {
        format: ImageFormat::Jpeg,
        width: frame.width,
        height: frame.height,
        decode_bytes: decode_bytes(&segments, frame, bytes.len()),
        orientation: segments.orientation,
    })
}

/// Decodes to RGB. The caller has checked what [`read_header`] says.
pub(in crate::image) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Pixels> {
    let segments = walk(bytes, Until::End { max_scans: limits.max_progressive_scans })?;
    limits.check_scans(segments.scans)?;
    let frame = frame_of(&segments)?;
    check_sampling(frame)?;
    let encoded = canonical_stream(&bytes[..segments.end], &segments)?;
    let target = match color_model(&segments, frame.components.len()) {
        ColorModel::Cmyk => ColorSpace::CMYK,
        ColorModel::Ycck => ColorSpace::YCCK,
        ColorModel::Rgb | ColorModel::YCbCr | ColorModel::Grey => ColorSpace::RGB,
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(limits.max_side)
        .set_max_height(limits.max_side)
        .jpeg_set_max_scans(limits.max_progressive_scans)
        .jpeg_set_out_colorspace(target);
    let mut data = vec![0; frame.width * frame.height * target.num_components()];
    JpegDecoder::new_with_options(ZCursor::new(&encoded[..]), options)
        .decode_into(&mut data)
        .map_err(|error| failed(error, frame))?;
    match target {
        ColorSpace::CMYK => cmyk_to_rgb(&mut data, |pixel| pixel),
        ColorSpace::YCCK => cmyk_to_rgb(&mut data, ycck_to_cmyk),
        _ => {}
    }
    Ok(Pixels { width: frame.width, height: frame.height, data: data.into() })
}

fn frame_of(segments: &Segments) -> Result<&Frame> {
    // A walk that got past a scan header has seen the frame header before it.
    segments
        .frame
        .as_ref()
        .ok_or_else(|| Place::stage(ImageFormat::Jpeg, "segments").corrupt("there is no frame header"))
}

/// How the samples are to be understood, by the rules that libjpeg applies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ColorModel {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

fn color_model(segments: &Segments, components: usize) -> ColorModel {
    match (components, segments.adobe_transform) {
        (1, _) => ColorModel::Grey,
        (4, None | Some(0)) => ColorModel::Cmyk,
        (4, Some(_)) => ColorModel::Ycck,
        (_, Some(0)) if !segments.jfif => ColorModel::Rgb,
        _ => ColorModel::YCbCr,
    }
}

/// The file as the decoder is to see it. Metadata is left out because the decoder would copy it, and
/// an Adobe segment where libjpeg would not follow it.
fn canonical_stream<'a>(bytes: &'a [u8], segments: &Segments) -> Result<Cow<'a, [u8]>> {
    let follow_adobe = match segments.adobe_transform {
        None => true,
        Some(0 | 2) => !segments.jfif || segments.frame.as_ref().is_some_and(|f| f.components.len() == 4),
        Some(transform) => transform == 1,
    };
    if segments.has_extras || !follow_adobe {
        return without_extras(bytes, follow_adobe).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(bytes))
}

/// Refuses what the decoder would decode wrongly: sampling where a colour component has more samples
/// than the first, or factors of 3.
fn check_sampling(frame: &Frame) -> Result<()> {
    let first = frame.components[0];
    for component in &frame.components {
        let divides = |whole: usize, part: usize| whole.is_multiple_of(part);
        let fits = divides(first.horizontal, component.horizontal)
            && divides(first.vertical, component.vertical)
            && component.horizontal != 3
            && component.vertical != 3;
        if !fits && frame.components.len() > 1 {
            let factors: Vec<String> = frame
                .components
                .iter()
                .map(|Component { horizontal, vertical, .. }| format!("{horizontal}x{vertical}"))
                .collect();
            return Err(Place::at(ImageFormat::Jpeg, "frame header", frame.offset)
                .unsupported(format_args!("sampling factors {}", factors.join(", "))));
        }
    }
    Ok(())
}

/// Most bytes that the decoder allocates: pixels, coefficients of all components where scans do not
/// hold them all, rows of blocks, and a copy of the file without its metadata.
fn decode_bytes(segments: &Segments, frame: &Frame, encoded: usize) -> usize {
    let [h_max, v_max] = frame.largest_factors();
    let mcus = [frame.width.div_ceil(8 * h_max), frame.height.div_ceil(8 * v_max)];
    let channels = if frame.components.len() == 4 { 4 } else { 3 };
    let mut bytes = frame.width * frame.height * channels + encoded;
    for component in &frame.components {
        let stride = mcus[0] * component.horizontal * 8;
        let row_samples = stride * component.vertical * 8;
        if frame.progressive || segments.first_scan_components < frame.components.len() {
            bytes += row_samples * mcus[1] * size_of::<i16>();
        }
        let upsampled = h_max.div_ceil(component.horizontal) * v_max.div_ceil(component.vertical);
        bytes += row_samples * (2 + 3 * upsampled) * size_of::<i16>();
    }
    bytes
}

fn failed(error: DecodeErrors, frame: &Frame) -> Error {
    let place = Place::stage(ImageFormat::Jpeg, "scan data");
    match error {
        DecodeErrors::Unsupported(scheme) => place.unsupported(format_args!("{scheme:?}")),
        DecodeErrors::ExhaustedData => place.corrupt("it ends before every block is decoded"),
        DecodeErrors::LargeDimensions(_) | DecodeErrors::TooSmallOutput(..) => {
            place.corrupt(format_args!("{error} (frame of {} x {})", frame.width, frame.height))
        }
        other => place.corrupt(other),
    }
}

/// Pillow's conversion, in place: `data` has four inverted channels per pixel and is cut to three.
fn cmyk_to_rgb(data: &mut Vec<u8>, to_cmyk: impl Fn([u8; 4]) -> [u8; 4]) {
    let pixels = data.len() / 4;
    for index in 0..pixels {
        let source = &data[index * 4..index * 4 + 4];
        let [cyan, magenta, yellow, key] = to_cmyk([source[0], source[1], source[2], source[3]]);
        for (channel, ink) in [cyan, magenta, yellow].into_iter().enumerate() {
            data[index * 3 + channel] = key - multiply_255(255 - ink, key);
        }
    }
    data.truncate(pixels * 3);
}

/// `a * b / 255`, rounded.
fn multiply_255(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

/// The inverse of libjpeg's YCbCr conversion for each of the three inks, in 16-bit fixed point.
fn ycck_to_cmyk([y, cb, cr, key]: [u8; 4]) -> [u8; 4] {
    const fn fixed(factor: f64) -> i32 {
        (factor * 65536.0 + 0.5) as i32
    }
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((fixed(1.402) * cr + HALF) >> 16);
    let green = y + ((-fixed(0.344_14) * cb - fixed(0.714_14) * cr + HALF) >> 16);
    let blue = y + ((fixed(1.772) * cb + HALF) >> 16);
    let ink = |light: i32| (255 - light).clamp(0, 255) as u8;
    [ink(red), ink(green), ink(blue), key]
}
