//! A picture as C hands it in: a path, the bytes of a file, or raw pixels.

use crate::abi::read;
use crate::boundary::{array, invalid, null, path};
use bytes::Bytes;
use libvision::{ImageSource, PixelFormat, RawPixels, Result};
use std::ffi::c_char;

/// What a picture is given as. A number of `enum vision_image_kind`.
pub type vision_image_kind_t = u32;

/// What a picture is given as.
#[repr(C)]
pub enum vision_image_kind {
    /// `path` is a file.
    VISION_IMAGE_PATH = 1,
    /// `data` is the bytes of a JPEG, PNG, WebP, GIF or BMP file.
    VISION_IMAGE_ENCODED = 2,
    /// `data` is pixels: `width`, `height`, `row_stride` and `format` say how they lie.
    VISION_IMAGE_PIXELS = 3,
}

/// Channel order of raw pixels, 8 bits each. A number of `enum vision_pixel_format`.
pub type vision_pixel_format_t = u32;

/// Channel order of raw pixels, 8 bits each.
#[repr(C)]
pub enum vision_pixel_format {
    /// Red, green, blue.
    VISION_PIXEL_FORMAT_RGB = 1,
    /// Red, green, blue, alpha; alpha is dropped.
    VISION_PIXEL_FORMAT_RGBA = 2,
}

/// A picture in the caller's memory. What it points at is copied before a function that takes it returns.
/// Set the fields that `kind` needs, the others to 0:
/// `vision_image_t image = {.struct_size = sizeof image, .kind = VISION_IMAGE_PATH, .path = "cat.jpg"};`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_image_t {
    /// sizeof(vision_image_t).
    pub struct_size: u32,
    /// Which of the fields below count.
    pub kind: vision_image_kind_t,
    /// VISION_IMAGE_PATH: the file's path, UTF-8 outside Unix.
    pub path: *const c_char,
    /// VISION_IMAGE_ENCODED, VISION_IMAGE_PIXELS: the bytes.
    pub data: *const u8,
    /// Length of `data` in bytes.
    pub data_size: usize,
    /// VISION_IMAGE_PIXELS: columns.
    pub width: u32,
    /// VISION_IMAGE_PIXELS: rows.
    pub height: u32,
    /// VISION_IMAGE_PIXELS: bytes from one row to the next; 0 for rows without gaps.
    pub row_stride: u32,
    /// VISION_IMAGE_PIXELS: channel order.
    pub format: vision_pixel_format_t,
}

const PATH: u32 = vision_image_kind::VISION_IMAGE_PATH as u32;
const ENCODED: u32 = vision_image_kind::VISION_IMAGE_ENCODED as u32;
const PIXELS: u32 = vision_image_kind::VISION_IMAGE_PIXELS as u32;
const RGB: u32 = vision_pixel_format::VISION_PIXEL_FORMAT_RGB as u32;
const RGBA: u32 = vision_pixel_format::VISION_PIXEL_FORMAT_RGBA as u32;

const NOTHING: vision_image_t = vision_image_t {
    struct_size: size_of::<vision_image_t>() as u32,
    kind: 0,
    path: std::ptr::null(),
    data: std::ptr::null(),
    data_size: 0,
    width: 0,
    height: 0,
    row_stride: 0,
    format: 0,
};

/// A copy of the picture; NULL is an error.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's whose pointers are valid.
pub(crate) unsafe fn source(pointer: *const vision_image_t, name: &str) -> Result<ImageSource> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, NOTHING, name)? };
    match given.kind {
        // SAFETY: the caller promises a string.
        PATH => Ok(ImageSource::Path(unsafe { path(given.path, &format!("{name}.path"))? })),
        // SAFETY: the caller promises `data_size` bytes.
        ENCODED => Ok(ImageSource::Encoded(unsafe { data(&given, name)? })),
        PIXELS => {
            let format = match given.format {
                RGB => PixelFormat::Rgb,
                RGBA => PixelFormat::Rgba,
                other => {
                    return Err(invalid(format!(
                        "{name}.format is {other}; expected a VISION_PIXEL_FORMAT_..."
                    )));
                }
            };
            let width = given.width as usize;
            Ok(ImageSource::Pixels(RawPixels {
                width,
                height: given.height as usize,
                format,
                row_stride: match given.row_stride {
                    0 => width * format.channels(),
                    stride => stride as usize,
                },
                // SAFETY: the caller promises `data_size` bytes.
                data: unsafe { data(&given, name)? },
            }))
        }
        other => Err(invalid(format!(
            "{name}.kind is {other}; expected VISION_IMAGE_PATH, VISION_IMAGE_ENCODED or VISION_IMAGE_PIXELS"
        ))),
    }
}

unsafe fn data(given: &vision_image_t, name: &str) -> Result<Bytes> {
    // SAFETY: the caller promises `data_size` bytes.
    Ok(Bytes::copy_from_slice(unsafe { array(given.data, given.data_size, &format!("{name}.data"))? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(given: &vision_image_t) -> String {
        // SAFETY: the struct and what it points at live through the call.
        unsafe { source(given, "image") }.err().unwrap().message().to_owned()
    }

    #[test]
    fn each_kind_arrives() {
        let bytes = [1u8, 2, 3, 4, 5, 6];
        let pixels = vision_image_t {
            kind: 3,
            data: bytes.as_ptr(),
            data_size: 6,
            width: 2,
            height: 1,
            format: 1,
            ..NOTHING
        };
        // SAFETY: as above.
        let sources = unsafe {
            [
                source(&vision_image_t { kind: 1, path: c"cat.jpg".as_ptr(), ..NOTHING }, "image").unwrap(),
                source(&vision_image_t { kind: 2, data: bytes.as_ptr(), data_size: 6, ..NOTHING }, "image")
                    .unwrap(),
                source(&pixels, "image").unwrap(),
                source(&vision_image_t { row_stride: 9, ..pixels }, "image").unwrap(),
            ]
        };
        let [
            ImageSource::Path(path),
            ImageSource::Encoded(encoded),
            ImageSource::Pixels(tight),
            ImageSource::Pixels(wide),
        ] = sources
        else {
            panic!("kinds were mixed up")
        };
        assert_eq!(path.to_str(), Some("cat.jpg"));
        assert_eq!(encoded, &bytes[..]);
        assert_eq!((tight.width, tight.height, tight.row_stride), (2, 1, 6));
        assert_eq!((tight.format, &tight.data[..]), (PixelFormat::Rgb, &bytes[..]));
        assert_eq!(wide.row_stride, 9);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(message(&vision_image_t { kind: 1, ..NOTHING }), "image.path is NULL");
        assert_eq!(message(&vision_image_t { kind: 2, data_size: 1, ..NOTHING }), "image.data is NULL");
        assert!(message(&vision_image_t { kind: 3, ..NOTHING }).starts_with("image.format is 0"));
        assert!(message(&NOTHING).starts_with("image.kind is 0"));
        assert!(message(&vision_image_t { struct_size: 0, ..NOTHING }).starts_with("image.struct_size is 0"));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { source(std::ptr::null(), "image") }.err().unwrap().message(), "image is NULL");
    }
}
