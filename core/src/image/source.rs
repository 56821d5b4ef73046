//! Pictures as callers hand them in: a path, the bytes of a file, or raw pixels.

use super::decode::decode;
use super::limits::DecodeLimits;
use super::pixels::{ImageSource, PixelFormat, Pixels, RawPixels};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads, decodes or converts a picture; raw RGB without gaps is taken as it lies. `apply_orientation` plays no part for raw pixels.
///
/// Besides the errors of [`decode`]: `FILE_NOT_FOUND` and `FILE_UNREADABLE` for paths, and
/// `INVALID_ARGUMENT` for raw pixels whose sizes do not fit together.
pub fn load(source: &ImageSource, limits: &DecodeLimits, apply_orientation: bool) -> Result<Pixels> {
    match source {
        ImageSource::Path(path) => {
            let bytes = read_file(path, limits)?;
            decode(&bytes, limits, apply_orientation).map_err(|error| error.context(path.display()))
        }
        ImageSource::Encoded(bytes) => decode(bytes, limits, apply_orientation),
        ImageSource::Pixels(raw) => convert_raw(raw, limits),
    }
}

/// Reads an encoded picture. Its size is checked against the limit before it is read, and again while
/// it is read, as a file may grow.
pub fn read_file(path: &Path, limits: &DecodeLimits) -> Result<Bytes> {
    let named = |error| Error::from_io(path, error);
    let file = File::open(path).map_err(named)?;
    let metadata = file.metadata().map_err(named)?;
    if metadata.is_dir() {
        let message = format!("{}: a directory, expected a picture file", path.display());
        return Err(Error::new(ErrorKind::FileUnreadable, message));
    }
    let check = |bytes| limits.check_encoded(bytes).map_err(|error| error.context(path.display()));
    check(metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take((limits.max_encoded_bytes as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(named)?;
    check(bytes.len() as u64)?;
    Ok(bytes.into())
}

fn convert_raw(raw: &RawPixels, limits: &DecodeLimits) -> Result<Pixels> {
    let &RawPixels { width, height, format, row_stride, .. } = raw;
    let invalid = |what: String| {
        Error::new(ErrorKind::InvalidArgument, format!("raw pixels of {width} x {height} {format:?}: {what}"))
    };
    if width == 0 || height == 0 {
        return Err(invalid("width and height must be at least 1".into()));
    }
    limits.check_size(width, height)?;
    let row_bytes =
        width.checked_mul(format.channels()).ok_or_else(|| invalid("a row does not fit in memory".into()))?;
    if row_stride < row_bytes {
        return Err(invalid(format!("row_stride is {row_stride}, a row has {row_bytes} bytes")));
    }
    let needed = (height - 1)
        .checked_mul(row_stride)
        .and_then(|bytes| bytes.checked_add(row_bytes))
        .ok_or_else(|| invalid(format!("row_stride {row_stride} is too large")))?;
    if raw.data.len() < needed {
        return Err(invalid(format!("expected at least {needed} bytes, found {}", raw.data.len())));
    }
    if format == PixelFormat::Rgb && row_stride == row_bytes {
        return Ok(Pixels { width, height, data: raw.data.slice(..needed) });
    }
    let mut data = Vec::with_capacity(width * height * 3);
    for row in raw.data.chunks(row_stride).take(height) {
        let row = &row[..row_bytes];
        match format {
            PixelFormat::Rgb => data.extend_from_slice(row),
            PixelFormat::Rgba => {
                data.extend(row.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]));
            }
        }
    }
    Ok(Pixels { width, height, data: data.into() })
}
