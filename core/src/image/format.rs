//! Which format a file has and what its header says, read before any pixel is allocated.

use super::limits::DecodeLimits;
use super::orientation::Orientation;
use super::{bmp, gif, jpeg, png, webp};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// A file format that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Baseline and progressive, Huffman coded, 8 bits.
    Jpeg,
    /// Every colour type and bit depth.
    Png,
    /// Lossy and lossless; of an animation the first frame.
    WebP,
    /// The first frame.
    Gif,
    /// 1 to 32 bits, run-length coded ones too.
    Bmp,
}

impl ImageFormat {
    /// Every format.
    pub const ALL: [ImageFormat; 5] =
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];

    /// The usual name.
    pub const fn name(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "JPEG",
            ImageFormat::Png => "PNG",
            ImageFormat::WebP => "WebP",
            ImageFormat::Gif => "GIF",
            ImageFormat::Bmp => "BMP",
        }
    }

    /// The format whose signature the bytes begin with. File names play no part.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(ImageFormat::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(ImageFormat::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(ImageFormat::WebP)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(ImageFormat::Gif)
        } else if bytes.starts_with(b"BM") {
            Some(ImageFormat::Bmp)
        } else {
            None
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// The file's format.
    pub format: ImageFormat,
    /// Columns as stored.
    pub width: usize,
    /// Rows as stored.
    pub height: usize,
    /// Most bytes that decoding allocates at one time, the pixels included; small fixed tables come on top.
    pub decode_bytes: usize,
    /// How the picture is to be turned to stand upright, by its EXIF data.
    pub orientation: Orientation,
}

/// Reads the header and checks it against the limits. Allocates no pixels.
///
/// Fails with `IMAGE_FORMAT_UNKNOWN`, `IMAGE_CORRUPT`, `IMAGE_TRUNCATED`, `IMAGE_UNSUPPORTED` or
/// `IMAGE_TOO_COSTLY`.
pub fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    limits.check_encoded(bytes.len() as u64)?;
    let format = ImageFormat::sniff(bytes).ok_or_else(|| unknown(bytes))?;
    match format {
        ImageFormat::Jpeg => jpeg::read_header(bytes, limits),
        ImageFormat::Png => png::read_header(bytes, limits),
        ImageFormat::WebP => webp::read_header(bytes, limits),
        ImageFormat::Gif => gif::read_header(bytes, limits),
        ImageFormat::Bmp => bmp::read_header(bytes, limits),
    }
}

fn unknown(bytes: &[u8]) -> Error {
    if bytes.is_empty() {
        return Error::new(ErrorKind::ImageFormatUnknown, "picture without a single byte");
    }
    let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let message = format!(
        "picture of {} bytes: no signature of JPEG, PNG, WebP, GIF or BMP; it begins with {}{}",
        bytes.len(),
        start.join(" "),
        foreign(bytes).map(|name| format!(", which looks like {name}")).unwrap_or_default()
    );
    Error::new(ErrorKind::ImageFormatUnknown, message)
}

/// Names of formats that people take for pictures and that are not decoded.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..12).unwrap_or_default();
    match bytes {
        [b'%', b'P', b'D', b'F', ..] => Some("PDF"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some("TIFF"),
        [b'<', b's', b'v', b'g', ..] | [b'<', b'?', b'x', b'm', b'l', ..] => Some("SVG or other XML"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop document"),
        [0, 0, 1, 0, ..] => Some("an icon"),
        [0xff, 0x0a, ..] => Some("JPEG XL"),
        _ if brand.starts_with(b"ftypavif") => Some("AVIF"),
        _ if brand.starts_with(b"ftyphei") || brand.starts_with(b"ftypmif1") => Some("HEIC"),
        _ if brand.starts_with(b"ftyp") => Some("MP4 or a relative"),
        _ if brand.starts_with(b"JXL ") => Some("JPEG XL"),
        _ if brand.starts_with(b"jP  ") => Some("JPEG 2000"),
        _ => None,
    }
}
