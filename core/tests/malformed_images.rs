//! Damaged, cut, oversized and foreign files: each gives a typed error that says what is wrong (or a
//! picture, where a decoder rightly overlooks the damage), never a panic, and takes no more memory than
//! its header was charged for.

use libvision::ErrorKind;
use libvision::image::{self, DecodeLimits};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

/// Memory beyond the charge: fixed tables of decoders, and what an error message takes.
const ALLOWANCE: usize = 8 << 20;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread has allocated.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator unchanged; the counters are plain numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.get().wrapping_add(layout.size());
        IN_USE.set(in_use);
        PEAK.set(PEAK.get().max(in_use));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Most bytes in use while `work` runs, beyond those in use before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get() - before)
}

fn picture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/decode/pictures");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Case {
    name: String,
    bytes: Vec<u8>,
    /// Errors that are right; empty if any error of a picture is, and success too.
    kinds: &'static [ErrorKind],
    /// What the message must name.
    word: &'static str,
}

/// A case that must fail with one of these kinds and name the trouble.
fn fails(name: impl Into<String>, bytes: Vec<u8>, kinds: &'static [ErrorKind], word: &'static str) -> Case {
    Case { name: name.into(), bytes, kinds, word }
}

/// A case that may fail in any way that is typed.
fn damaged(name: impl Into<String>, bytes: Vec<u8>) -> Case {
    Case { name: name.into(), bytes, kinds: &[], word: "" }
}

const TRUNCATED: &[ErrorKind] = &[ErrorKind::ImageTruncated];
const CORRUPT: &[ErrorKind] = &[ErrorKind::ImageCorrupt];
const CUT: &[ErrorKind] = &[ErrorKind::ImageTruncated, ErrorKind::ImageCorrupt];
const COSTLY: &[ErrorKind] = &[ErrorKind::ImageTooCostly];
const UNKNOWN: &[ErrorKind] = &[ErrorKind::ImageFormatUnknown];
const UNSUPPORTED: &[ErrorKind] = &[ErrorKind::ImageUnsupported];

/// One of each kind of file.
const SAMPLES: [&str; 20] = [
    "baseline_420_45x35.jpg",
    "progressive_444_45x35.jpg",
    "restart_blocks.jpg",
    "cmyk.jpg",
    "orientation6.jpg",
    "rgb8.png",
    "rgba16_interlaced.png",
    "palette4.png",
    "grey1.png",
    "lossy75.webp",
    "lossy_alpha.webp",
    "lossless_large_method6.webp",
    "lossless_palette16.webp",
    "animated_partial_lossless.webp",
    "interlaced.gif",
    "partial_transparent.gif",
    "rgb24.bmp",
    "palette4.bmp",
    "rgb565_masks.bmp",
    "rle8.bmp",
];

/// Cut at many places.
fn cut_files() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in SAMPLES {
        let bytes = picture(name);
        for (numerator, denominator) in [(1, 20), (1, 5), (2, 5), (3, 5), (4, 5), (19, 20)] {
            let length = bytes.len() * numerator / denominator;
            cases.push(fails(format!("{name} cut to {length}"), bytes[..length].to_vec(), CUT, " image, "));
        }
    }
    let jpeg = picture("baseline_420_45x35.jpg");
    cases.push(fails("JPEG without end", jpeg[..jpeg.len() - 2].to_vec(), TRUNCATED, "end-of-image"));
    let bmp = picture("rgb24.bmp");
    cases.push(fails("BMP short of its last row", bmp[..bmp.len() - 4].to_vec(), TRUNCATED, "pixels"));
    for format in ["rgb8.png", "baseline_420_45x35.jpg", "lossy75.webp", "plain.gif", "rgb24.bmp"] {
        let bytes = picture(format);
        for length in [4, 12, 20, 30] {
            cases.push(damaged(format!("{format} cut to {length}"), bytes[..length].to_vec()));
        }
    }
    cases
}

/// Single bytes changed at seeded places.
fn flipped_files() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for name in SAMPLES {
        let original = picture(name);
        for _ in 0..10 {
            let mut bytes = original.clone();
            let place = next() % bytes.len();
            bytes[place] ^= 1 << (next() % 8);
            cases.push(damaged(format!("{name} with a flipped bit in byte {place}"), bytes));
        }
    }
    cases
}

fn with(name: &str, offset: usize, replacement: &[u8]) -> Vec<u8> {
    let mut bytes = picture(name);
    bytes[offset..offset + replacement.len()].copy_from_slice(replacement);
    bytes
}

fn find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("it is there")
}

/// A PNG chunk with its checksum.
fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for &byte in kind.iter().chain(data) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &(!crc).to_be_bytes()].concat()
}

fn png(width: u32, height: u32, fields: [u8; 5], rest: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &fields].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), png_chunk(b"IHDR", &header), rest.concat()].concat()
}

/// Image data that expands to many zeros: a stream of stored blocks would be long, so the Huffman-coded
/// one of a golden picture is taken, which is far too short for what the header claims.
fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    png(
        width,
        height,
        [8, 2, 0, 0, 0],
        &[png_chunk(b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]), png_chunk(b"IEND", &[])],
    )
}

/// Sizes that a header claims.
fn claimed_sizes() -> Vec<Case> {
    let jpeg = picture("baseline_420_45x35.jpg");
    let frame = find(&jpeg, &[0xff, 0xc0]) + 5;
    let jpeg = |size: [u8; 4]| with("baseline_420_45x35.jpg", frame, &size);
    let lossy = find(&picture("lossy75.webp"), &[0x9d, 0x01, 0x2a]) + 3;
    let lossless = find(&picture("lossless.webp"), b"VP8L") + 9;
    let canvas = find(&picture("animated_partial_lossy.webp"), b"VP8X") + 12;
    vec![
        fails("PNG of 60000 x 60000", png_bomb(60_000, 60_000), COSTLY, "60000"),
        fails("PNG of 4 billion squared", png_bomb(u32::MAX, u32::MAX), COSTLY, "4294967295"),
        fails("PNG of width 0", png_bomb(0, 9), CORRUPT, "0 x 9"),
        fails("PNG of height 0", png_bomb(9, 0), CORRUPT, "9 x 0"),
        fails("PNG within the limits without data", png_bomb(5000, 6000), CUT, "PNG image, "),
        fails("JPEG of 60000 x 60000", jpeg([0xea, 0x60, 0xea, 0x60]), COSTLY, "60000"),
        fails("JPEG of width 0", jpeg([0, 9, 0, 0]), CORRUPT, "width 0"),
        fails("JPEG of height 0", jpeg([0, 0, 0, 9]), UNSUPPORTED, "height 0"),
        fails("JPEG of 16000 x 2000 without the data", jpeg([0x07, 0xd0, 0x3e, 0x80]), CUT, "JPEG image, "),
        fails("GIF of 65535 x 65535", with("plain.gif", 6, &[255; 4]), COSTLY, "65535"),
        fails(
            "GIF frame of 60000 x 60000",
            {
                let start = find(&picture("plain.gif"), &[0x2c, 0, 0, 0, 0]) + 5;
                with("plain.gif", start, &[0x60, 0xea, 0x60, 0xea])
            },
            COSTLY,
            "60000",
        ),
        fails(
            "GIF frame of width 0",
            {
                let start = find(&picture("plain.gif"), &[0x2c, 0, 0, 0, 0]) + 5;
                with("plain.gif", start, &[0, 0])
            },
            CORRUPT,
            "0 x 35",
        ),
        fails(
            "GIF frame of 5000 x 6000 without the data",
            {
                let start = find(&picture("plain.gif"), &[0x2c, 0, 0, 0, 0]) + 5;
                with("plain.gif", start, &[0x88, 0x13, 0x70, 0x17])
            },
            CUT,
            "GIF image, ",
        ),
        fails(
            "BMP of 60000 x 60000",
            with("rgb24.bmp", 18, &[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]),
            COSTLY,
            "60000",
        ),
        fails("BMP of a negative width", with("rgb24.bmp", 18, &[0xff; 4]), CORRUPT, "-1"),
        fails("BMP of height 0", with("rgb24.bmp", 22, &[0; 4]), CORRUPT, "45 x 0"),
        fails("BMP of the smallest height", with("rgb24.bmp", 22, &[0, 0, 0, 0x80]), CORRUPT, "-2147483648"),
        fails(
            "BMP of 5000 x 6000",
            with("rgb24.bmp", 18, &[0x88, 0x13, 0, 0, 0x70, 0x17, 0, 0]),
            TRUNCATED,
            "pixels",
        ),
        fails(
            "RLE BMP of 5000 x 6000",
            with("rle8.bmp", 18, &[0x88, 0x13, 0, 0, 0x70, 0x17, 0, 0]),
            CORRUPT,
            "runs",
        ),
        fails(
            "lossy WebP of 16383 x 16383",
            with("lossy75.webp", lossy, &[0xff, 0x3f, 0xff, 0x3f]),
            COSTLY,
            "16383",
        ),
        fails("lossy WebP of width 0", with("lossy75.webp", lossy, &[0, 0]), CORRUPT, "0 x 35"),
        fails(
            "lossless WebP of 16384 x 16384",
            with("lossless.webp", lossless, &[255, 255, 255, 0x1f]),
            COSTLY,
            "16384",
        ),
        fails(
            "lossless WebP of version 7",
            with("lossless.webp", lossless + 3, &[0xff]),
            UNSUPPORTED,
            "version 7",
        ),
        fails(
            "WebP canvas of 16 million",
            with("animated_partial_lossy.webp", canvas, &[255; 6]),
            COSTLY,
            "16777216",
        ),
        fails(
            "WebP canvas smaller than its frame",
            with("animated_partial_lossy.webp", canvas, &[9, 0, 0, 9, 0, 0]),
            CORRUPT,
            "10 x 10",
        ),
        fails(
            "still WebP with another canvas",
            {
                let canvas = find(&picture("lossy_alpha.webp"), b"VP8X") + 12;
                with("lossy_alpha.webp", canvas, &[99, 0, 0, 99, 0, 0])
            },
            CORRUPT,
            "[100, 100]",
        ),
        fails(
            "WebP frame larger than its bitstream",
            {
                let frame = find(&picture("animated_partial_lossy.webp"), b"ANMF") + 14;
                with("animated_partial_lossy.webp", frame, &[40, 0, 0])
            },
            CORRUPT,
            "32 x 48",
        ),
    ]
}

fn jpeg_structure() -> Vec<Case> {
    let original = picture("baseline_420_45x35.jpg");
    let scan = find(&original, &[0xff, 0xda]);
    let frame = find(&original, &[0xff, 0xc0]);
    let tables = find(&original, &[0xff, 0xdb]);
    let insert = |at: usize, data: &[u8]| [&original[..at], data, &original[at..]].concat();
    let replace = |at: usize, byte: u8| with("baseline_420_45x35.jpg", at, &[byte]);
    let progressive = picture("progressive_444_45x35.jpg");
    let second_scan = find(&progressive[300..], &[0xff, 0xda]) + 300;
    let last_scan = progressive.windows(2).rposition(|w| w == [0xff, 0xda]).expect("a scan");
    let repeat = progressive[last_scan..progressive.len() - 2].repeat(200);
    let endless = [&progressive[..progressive.len() - 2], &repeat, &[0xff, 0xd9]].concat();
    vec![
        fails("JPEG with 200 more scans", endless, COSTLY, "max_progressive_scans"),
        fails(
            "JPEG with a thousand empty scans",
            {
                let header = original[scan..scan + 14].repeat(1000);
                insert(scan, &header)
            },
            CORRUPT,
            "at least",
        ),
        fails(
            "JPEG with a second frame",
            insert(scan, &original[frame..frame + 19]),
            CORRUPT,
            "second frame",
        ),
        fails(
            "JPEG without a frame",
            [&original[..frame], &original[frame + 19..]].concat(),
            CORRUPT,
            "frame header",
        ),
        fails(
            "JPEG without tables",
            [&original[..tables], &original[frame..]].concat(),
            CORRUPT,
            "JPEG image, ",
        ),
        fails("JPEG with a start inside", insert(scan, &[0xff, 0xd8]), CORRUPT, "second start"),
        fails("JPEG that ends before its scan", insert(scan, &[0xff, 0xd9]), CORRUPT, "before any scan"),
        fails("JPEG with a segment of length 1", insert(scan, &[0xff, 0xfe, 0, 1]), CORRUPT, "length 1"),
        fails(
            "JPEG with a segment beyond the end",
            insert(scan, &[0xff, 0xfe, 0xff, 0xff]),
            TRUNCATED,
            "65535",
        ),
        fails("arithmetic JPEG", replace(frame + 1, 0xc9), UNSUPPORTED, "arithmetic"),
        fails("lossless JPEG", replace(frame + 1, 0xc3), UNSUPPORTED, "lossless"),
        fails("12-bit JPEG", replace(frame + 4, 12), UNSUPPORTED, "12 bits"),
        fails("JPEG of 2 components", replace(frame + 9, 2), CORRUPT, "2 components"),
        fails("JPEG with sampling factor 0", replace(frame + 11, 0x02), CORRUPT, "0 x 2"),
        fails("JPEG with sampling factor 15", replace(frame + 11, 0xff), CORRUPT, "15 x 15"),
        fails("JPEG with more colour than grey", replace(frame + 14, 0x44), UNSUPPORTED, "sampling"),
        fails("JPEG with an unknown component", replace(scan + 5, 77), CORRUPT, "component 77"),
        fails("JPEG with a missing table", replace(scan + 6, 0x33), CORRUPT, "JPEG image, "),
        damaged("progressive JPEG from its second scan on", {
            let header = find(&progressive, &[0xff, 0xda]);
            [&progressive[..header], &progressive[second_scan..]].concat()
        }),
        damaged("JPEG with twenty megabytes of comments", {
            let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &[b'x'; 0xfffd]].concat();
            insert(scan, &comment.repeat(320))
        }),
        damaged("JPEG with a restart interval and no markers", insert(scan, &[0xff, 0xdd, 0, 4, 0, 1])),
    ]
}

fn png_structure() -> Vec<Case> {
    let original = picture("rgb8.png");
    let data = find(&original, b"IDAT") - 4;
    let insert = |at: usize, chunk: &[u8]| [&original[..at], chunk, &original[at..]].concat();
    let small = |fields: [u8; 5]| png(9, 9, fields, &[png_chunk(b"IDAT", &[1; 40])]);
    let huge = [&u32::MAX.to_be_bytes()[..], b"tEXt", &[0; 8]].concat();
    let text = png_chunk(b"zTXt", &[b'a'; 1 << 20]);
    vec![
        fails("PNG with a wrong checksum of its header", with("rgb8.png", 30, &[0xaa]), CORRUPT, "CRC"),
        fails(
            "PNG with a wrong checksum of its data",
            {
                let end = find(&original, b"IEND") - 5;
                with("rgb8.png", end, &[original[end] ^ 1])
            },
            CORRUPT,
            "CRC",
        ),
        fails("PNG of colour type 9", small([8, 9, 0, 0, 0]), CORRUPT, "colour type 9"),
        fails("PNG of depth 7", small([7, 2, 0, 0, 0]), CORRUPT, "PNG image, "),
        fails("PNG of compression 1", small([8, 2, 1, 0, 0]), CORRUPT, "PNG image, "),
        fails("PNG with damaged zlib data", small([8, 2, 0, 0, 0]), CORRUPT, "PNG image, "),
        fails("palette PNG without palette", small([8, 3, 0, 0, 0]), CORRUPT, "PNG image, "),
        fails("PNG without data", png(9, 9, [8, 2, 0, 0, 0], &[png_chunk(b"IEND", &[])]), CORRUPT, "IEND"),
        fails("PNG that ends after its header", png(9, 9, [8, 2, 0, 0, 0], &[]), TRUNCATED, "image data"),
        fails("PNG with a chunk of 4 GiB", insert(data, &huge), TRUNCATED, "4294967307"),
        fails(
            "PNG with a nameless chunk",
            insert(data, &png_chunk(&[0, 1, 2, 3], &[])),
            CORRUPT,
            "chunk type",
        ),
        fails(
            "PNG whose first chunk is text",
            [&original[..8], &png_chunk(b"tEXt", b"a\0b"), &original[8..]].concat(),
            CORRUPT,
            "IHDR",
        ),
        damaged("PNG with a megabyte of compressed text", insert(data, &text)),
        damaged(
            "PNG with thirty megabytes of nothing",
            insert(data, &png_chunk(b"noNe", &vec![0; 30 << 20])),
        ),
        damaged(
            "PNG with a frame of another size",
            insert(data, &{
                let control = png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
                let mut frame = vec![0; 26];
                frame[7] = 3;
                frame[11] = 3;
                [control, png_chunk(b"fcTL", &frame)].concat()
            }),
        ),
        damaged("PNG with two headers", insert(data, &original[8..33])),
    ]
}

fn other_structure() -> Vec<Case> {
    let gif = picture("plain.gif");
    let descriptor = find(&gif, &[0x2c, 0, 0, 0, 0]);
    let code_size = descriptor + 10;
    let webp = picture("lossy75.webp");
    let comments = [&gif[..descriptor], &[0x21, 0xfe, 1, 0, 0].repeat(100_000), &gif[descriptor..]].concat();
    let huge_chunk = [&webp[..12], b"EXIF\xff\xff\xff\xff", &webp[12..]].concat();
    let exif_bomb = {
        let original = picture("orientation6.webp");
        let at = find(&original, b"EXIF") + 4;
        with("orientation6.webp", at, &[0xff, 0xff, 0xff, 0x7f])
    };
    vec![
        fails("GIF with LZW code size 12", with("plain.gif", code_size, &[12]), CORRUPT, "code size 12"),
        fails("GIF with LZW code size 0", with("plain.gif", code_size, &[0]), CORRUPT, "code size 0"),
        fails("GIF without a frame", [&gif[..descriptor], &[0x3b]].concat(), CORRUPT, "before any frame"),
        fails("GIF with an unknown block", [&gif[..descriptor], &[0x99; 9]].concat(), CORRUPT, "found 99"),
        fails(
            "GIF whose data ends at once",
            {
                let mut bytes = gif.clone();
                bytes[code_size + 1] = 0;
                bytes
            },
            CORRUPT,
            "0 of 1575",
        ),
        damaged("GIF with a hundred thousand comments", comments),
        fails("WebP without a bitstream", [&webp[..12], b"JUNK\0\0\0\0"].concat(), CUT, "WebP image, "),
        fails("WebP with a chunk of 4 GiB", huge_chunk, CUT, "WebP image, "),
        damaged("WebP with EXIF data of 2 GiB", exif_bomb),
        fails("lossless WebP with 4096 groups of codes", webp_of_many_codes(), COSTLY, "prefix codes"),
        fails(
            "lossy WebP whose first part is too long",
            with("lossy75.webp", 20, &[0xf0, 0xff, 0xff]),
            CORRUPT,
            "first part",
        ),
        fails(
            "WebP whose container is longer than the file",
            with("lossy75.webp", 4, &[0xff; 4]),
            TRUNCATED,
            "4294967303",
        ),
        fails("WebP whose container is empty", with("lossy75.webp", 4, &[0; 4]), TRUNCATED, "WebP image, "),
        fails("lossy WebP that is no key frame", with("lossy75.webp", 20, &[1]), CORRUPT, "key frame"),
        fails("BMP with a header of 99 bytes", with("rgb24.bmp", 14, &[99]), UNSUPPORTED, "99"),
        fails("BMP of 17 bits", with("rgb24.bmp", 28, &[17]), UNSUPPORTED, "17 bits"),
        fails("BMP that holds a JPEG", with("rgb24.bmp", 30, &[4]), UNSUPPORTED, "compression 4"),
        fails("BMP with pixels beyond the file", with("rgb24.bmp", 10, &[0xff; 4]), TRUNCATED, "pixels"),
        fails("BMP with a palette of 2 billion", with("palette4.bmp", 46, &[0xff; 4]), CORRUPT, "palette"),
        fails("BMP with an empty colour mask", with("rgb565_masks.bmp", 54, &[0; 4]), UNSUPPORTED, "mask"),
        fails("BMP with a split colour mask", with("rgb565_masks.bmp", 54, &[5; 4]), UNSUPPORTED, "mask"),
    ]
}

fn foreign_files() -> Vec<Case> {
    let foreign = |name: &str, bytes: &[u8], word| fails(name, bytes.to_vec(), UNKNOWN, word);
    vec![
        foreign("no bytes", b"", "without a single byte"),
        foreign("one byte", b"\xff", "1 bytes"),
        foreign("text", b"hello, this is no picture", "signature"),
        foreign("zeros", &[0; 500], "00 00"),
        foreign("PDF", b"%PDF-1.7\n%....", "PDF"),
        foreign("TIFF", b"II*\0\x08\0\0\0....", "TIFF"),
        foreign("big-endian TIFF", b"MM\0*\0\0\0\x08....", "TIFF"),
        foreign("AVIF", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "AVIF"),
        foreign("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        foreign("MP4", b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "MP4"),
        foreign("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        foreign("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        foreign("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        foreign("icon", b"\0\0\x01\0\x01\0\x10\x10", "icon"),
        foreign("Photoshop", b"8BPS\0\x01\0\0\0\0\0\0", "Photoshop"),
        foreign("half a PNG signature", b"\x89PNG\r\n", "signature"),
        foreign("RIFF that is no WebP", b"RIFF\x10\0\0\0WAVEfmt ", "signature"),
        fails("only a PNG signature", b"\x89PNG\r\n\x1a\n".to_vec(), TRUNCATED, "PNG"),
        fails("only a JPEG signature", vec![0xff, 0xd8, 0xff], TRUNCATED, "JPEG"),
        fails("only a GIF signature", b"GIF89a".to_vec(), TRUNCATED, "GIF"),
        fails("only a BMP signature", b"BM".to_vec(), TRUNCATED, "BMP"),
        fails("33 MiB", [&picture("rgb8.png")[..], &vec![0; 33 << 20]].concat(), COSTLY, "max_encoded_bytes"),
    ]
}

/// A lossless WebP picture of 256 x 256 with its own group of codes for each of 4096 blocks: 130 KB that
/// would make ten megabytes of tables.
fn webp_of_many_codes() -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |value: usize, count: usize| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    let all_of_length_8 = |put: &mut dyn FnMut(usize, usize), alphabet: usize| {
        put(0, 1);
        put(12 - 4, 4);
        // Of the lengths that a code may have, only 8 occurs; it comes last in the order of storage.
        (0..12).for_each(|place| put(usize::from(place == 11), 3));
        if alphabet > 256 {
            put(1, 1);
            put(3, 3);
            put(254, 8);
        } else {
            put(0, 1);
        }
    };
    let single = |put: &mut dyn FnMut(usize, usize)| put(1, 4);
    // No transform, no colour cache; codes per block of 4 x 4, whose choice is an image without a cache.
    put(0, 1);
    put(0, 1);
    put(1, 1);
    put(0, 3);
    put(0, 1);
    all_of_length_8(&mut put, 280);
    all_of_length_8(&mut put, 256);
    (0..3).for_each(|_| single(&mut put));
    for block in 0..4096_usize {
        put(usize::from((block as u8).reverse_bits()), 8);
        put(usize::from(((block >> 8) as u8).reverse_bits()), 8);
    }
    for _ in 0..4096 {
        all_of_length_8(&mut put, 280);
        (0..3).for_each(|_| all_of_length_8(&mut put, 256));
        single(&mut put);
    }
    let mut data = vec![0x2f];
    data.extend((255_u32 | 255 << 14).to_le_bytes());
    data.extend(
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, &bit| value << 1 | u8::from(bit))),
    );
    data.resize(data.len().next_multiple_of(2), 0);
    let length = data.len() as u32;
    [b"RIFF", &(length + 12).to_le_bytes()[..], b"WEBPVP8L", &length.to_le_bytes(), &data].concat()
}

#[test]
fn every_malformed_file_gives_a_typed_error_within_its_charge() {
    let limits = DecodeLimits::default();
    let groups = [
        cut_files(),
        flipped_files(),
        claimed_sizes(),
        jpeg_structure(),
        png_structure(),
        other_structure(),
        foreign_files(),
    ];
    let mut faults = Vec::new();
    let (mut count, mut decoded, mut most_beyond) = (0, 0, 0);
    for case in groups.into_iter().flatten() {
        count += 1;
        let charge = image::read_header(&case.bytes, &limits).map_or(0, |header| header.decode_bytes);
        let (result, peak) = peak_of(|| image::decode(&case.bytes, &limits, false));
        most_beyond = most_beyond.max(peak.saturating_sub(charge));
        if peak > charge + ALLOWANCE {
            faults.push(format!("{}: {peak} bytes, charged {charge}", case.name));
        }
        match result {
            Ok(_) if case.kinds.is_empty() => decoded += 1,
            Ok(_) => faults.push(format!("{}: it was decoded", case.name)),
            Err(error) => {
                let of_a_picture = (200..300).contains(&error.kind().number());
                let right_kind = case.kinds.is_empty() || case.kinds.contains(&error.kind());
                if !of_a_picture
                    || !right_kind
                    || error.message().is_empty()
                    || !error.message().contains(case.word)
                {
                    faults.push(format!("{}: {error:?}", case.name));
                }
            }
        }
    }
    println!(
        "{count} malformed files: {decoded} decoded, {} refused; at most {most_beyond} bytes beyond the charge",
        count - decoded
    );
    assert!(count >= 110);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn whole_pictures_stay_within_their_charge_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/decode/pictures");
    let limits = DecodeLimits::default();
    for entry in std::fs::read_dir(folder).expect("in the repository") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("readable");
        let header = image::read_header(&bytes, &limits).expect("a header");
        let (result, peak) = peak_of(|| image::decode(&bytes, &limits, false));
        assert!(result.is_ok(), "{}", path.display());
        // Small pictures: nearly all of the allowance would hide a charge that is too small.
        let tables = 700 << 10;
        assert!(
            peak <= header.decode_bytes + tables,
            "{}: {peak} of {}",
            path.display(),
            header.decode_bytes
        );
    }
}
