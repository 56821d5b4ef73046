//! Pictures and tensors as JavaScript hands them in. Bytes are copied, since the caller may change its
//! buffer while an engine thread reads.

use crate::number::whole_number;
use libvision::{Error, ErrorKind, ImageSource, PixelFormat, RawPixels, Result, Tensor};
use napi::bindgen_prelude::{Float32Array, Uint8Array};
use napi_derive::napi;

/// A picture: exactly one of `path`, `encoded` and `pixels` is set.
#[napi(object, object_to_js = false)]
pub struct NativeImage {
    /// A file.
    pub path: Option<String>,
    /// The bytes of a file.
    pub encoded: Option<Uint8Array>,
    /// Raw pixels, row by row.
    pub pixels: Option<Uint8Array>,
    /// Columns of `pixels`.
    pub width: Option<f64>,
    /// Rows of `pixels`.
    pub height: Option<f64>,
    /// 3 for RGB, 4 for RGBA.
    pub channels: Option<f64>,
    /// Bytes from one row of `pixels` to the next.
    pub row_stride: Option<f64>,
}

impl NativeImage {
    pub(crate) fn into_source(self) -> Result<ImageSource> {
        match (self.path, self.encoded, self.pixels) {
            (Some(path), None, None) => Ok(ImageSource::Path(path.into())),
            (None, Some(bytes), None) => Ok(ImageSource::Encoded(bytes.to_vec().into())),
            (None, None, Some(bytes)) => {
                let required = |name: &str, value: Option<f64>| {
                    let missing =
                        || Error::new(ErrorKind::InvalidArgument, format!("raw pixels need `{name}`"));
                    whole_number(name, value.ok_or_else(missing)?)
                };
                let (width, height) = (required("width", self.width)?, required("height", self.height)?);
                let format = match required("channels", self.channels)? {
                    3 => PixelFormat::Rgb,
                    4 => PixelFormat::Rgba,
                    other => {
                        let message = format!("channels must be 3 (RGB) or 4 (RGBA), found {other}");
                        return Err(Error::new(ErrorKind::InvalidArgument, message));
                    }
                };
                let row_stride = match self.row_stride {
                    Some(stride) => whole_number("rowStride", stride)?,
                    None => width.saturating_mul(format.channels()),
                };
                let data = bytes.to_vec().into();
                Ok(ImageSource::Pixels(RawPixels { width, height, format, row_stride, data }))
            }
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                "an image is a path, the bytes of a file, or raw pixels with width, height and channels",
            )),
        }
    }
}

/// A named input tensor.
#[napi(object, object_to_js = false)]
pub struct NativeInput {
    /// Name of the model's input.
    pub name: String,
    /// Sizes of the axes.
    pub shape: Vec<f64>,
    /// Row-major elements.
    pub data: Float32Array,
}

impl NativeInput {
    pub(crate) fn into_tensor(self) -> Result<(String, Tensor)> {
        let size = |&size: &f64| whole_number("a size in shape", size);
        let shape: Vec<usize> = self.shape.iter().map(size).collect::<Result<_>>()?;
        let tensor = Tensor::new(&shape, self.data.to_vec())
            .map_err(|error| error.context(format_args!("input \"{}\"", self.name)))?;
        Ok((self.name, tensor))
    }
}
