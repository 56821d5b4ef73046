//! Pictures as Python programs have them: paths, encoded bytes, arrays of pixels, Pillow images.

use crate::array::ArrayView;
use crate::error::argument;
use bytes::Bytes;
use libvision::{ImageSource, PixelFormat, RawPixels};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};
use std::path::PathBuf;

/// The picture in `object`. `bytes` are shared, all other memory is copied, so that the caller may
/// change it at once.
pub(crate) fn source(object: &Bound<'_, PyAny>) -> PyResult<ImageSource> {
    if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
        return Ok(ImageSource::Path(object.extract::<PathBuf>()?));
    }
    if object.is_instance_of::<PyBytes>() {
        return Ok(ImageSource::Encoded(Bytes::from_owner(object.extract::<PyBackedBytes>()?)));
    }
    if is_pillow(object)? {
        return Ok(ImageSource::Pixels(pillow(object)?));
    }
    if let Some(view) = ArrayView::of(object)? {
        return array(object.py(), &view);
    }
    let found = object.get_type().name()?;
    let advice = if object.hasattr("read")? {
        "; give what its read() returns"
    } else if object.hasattr("__iter__")? {
        "; give several pictures as a list"
    } else {
        ""
    };
    Err(argument(object.py(), format!("image: expected {KINDS}, found {found}{advice}")))
}

const KINDS: &str =
    "a path, the bytes of an image file, a uint8 array of shape (height, width, 3 or 4) or a Pillow image";

fn array(py: Python<'_>, view: &ArrayView<'_>) -> PyResult<ImageSource> {
    match (view.is_u8(), view.shape()) {
        (true, [_]) => Ok(ImageSource::Encoded(view.copy()?)),
        (true, &[height, width, channels @ (3 | 4)]) => {
            let format = if channels == 3 { PixelFormat::Rgb } else { PixelFormat::Rgba };
            let data = view.copy()?;
            Ok(ImageSource::Pixels(RawPixels { width, height, format, row_stride: width * channels, data }))
        }
        (is_u8, shape) => {
            let advice = match shape {
                [_, _] | [_, _, 1] => "; a grey picture needs its channel three times",
                [3 | 4, _, _] => "; put the channels last: array.transpose(1, 2, 0)",
                [_, _, _, _] => "; give several pictures as a list: list(array)",
                _ if !is_u8 => "; give the bytes 0 to 255, before scaling or normalising",
                _ => "",
            };
            let found = view.describe();
            Err(argument(py, format!("image: expected {KINDS}, found an array of {found}{advice}")))
        }
    }
}

fn is_pillow(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("convert")? && object.hasattr("tobytes")? && object.hasattr("getbands")?)
}

/// What `convert("RGB")` gives, in any mode. Loads the picture if Pillow has not yet.
fn pillow(image: &Bound<'_, PyAny>) -> PyResult<RawPixels> {
    let mode: String = image.getattr("mode")?.extract()?;
    let rgb = if mode == "RGB" { image.clone() } else { image.call_method1("convert", ("RGB",))? };
    let data: PyBackedBytes = rgb.call_method0("tobytes")?.extract()?;
    let (width, height): (usize, usize) = rgb.getattr("size")?.extract()?;
    Ok(RawPixels {
        width,
        height,
        format: PixelFormat::Rgb,
        row_stride: 3 * width,
        data: Bytes::from_owner(data),
    })
}
