//! From bytes to normalised floats, one value at a time.

/// How a byte becomes a number, per channel: `(value * scale - mean) / std` in `f32`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Factor from a byte to the number that `mean` and `std` refer to.
    pub scale: f32,
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divisor.
    pub std: [f32; 3],
}

impl Normalization {
    /// The number for a byte, with the roundings of torchvision: `to_tensor` divides by 255 in `f32`,
    /// `normalize` subtracts and then divides.
    ///
    /// A scale that is the `f32` nearest to `1 / n`, for an `n` in halves, stands for the division by `n`.
    pub fn apply(&self, channel: usize, value: u8) -> f32 {
        let divisor = (2.0 / self.scale).round() / 2.0;
        let scaled = if divisor.is_normal() && 1.0 / divisor == self.scale {
            f32::from(value) / divisor
        } else {
            f32::from(value) * self.scale
        };
        (scaled - self.mean[channel]) / self.std[channel]
    }
}

/// Order of the axes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Planes {
    /// Channel, row, column.
    Chw,
    /// Row, column, channel.
    Hwc,
}

/// Normalises interleaved RGB. `output` has as many values as `rgb` has bytes.
pub fn normalize(normalization: &Normalization, planes: Planes, rgb: &[u8], output: &mut [f32]) {
    assert_eq!(rgb.len(), output.len(), "values of the output");
    let pixels = rgb.len() / 3;
    for index in 0..pixels {
        for channel in 0..3 {
            let value = normalization.apply(channel, rgb[index * 3 + channel]);
            match planes {
                Planes::Chw => output[channel * pixels + index] = value,
                Planes::Hwc => output[index * 3 + channel] = value,
            }
        }
    }
}
