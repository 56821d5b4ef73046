//! Pictures that are made, not read.

use libvision::{ImageSource, PixelFormat, RawPixels};

/// A picture with structure at several scales, unlike those of other seeds.
pub fn structured(seed: usize, width: usize, height: usize) -> ImageSource {
    let value = |i: usize| {
        let (pixel, channel) = (i / 3, i % 3);
        let (x, y) = (pixel % width, pixel / width);
        ((x * (seed + 2) + y * (channel + 3)) ^ (x * y / (seed + 1))) as u8
    };
    let data: Vec<u8> = (0..width * height * 3).map(value).collect();
    let format = PixelFormat::Rgb;
    ImageSource::Pixels(RawPixels { width, height, format, row_stride: 3 * width, data: data.into() })
}
