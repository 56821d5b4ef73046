//! From bytes to normalised floats through a table of all 256 values, equal to
//! [`reference::normalize`](crate::reference::normalize) by construction.

pub use crate::reference::normalize::{Normalization, Planes};

/// The normalised value of every byte, per channel.
pub struct NormalizeTable {
    values: [[f32; 256]; 3],
}

impl NormalizeTable {
    /// Computes the table.
    pub fn new(normalization: &Normalization) -> Self {
        let channel = |channel| std::array::from_fn(|value| normalization.apply(channel, value as u8));
        Self { values: [channel(0), channel(1), channel(2)] }
    }

    /// Normalises interleaved RGB. `output` has as many values as `rgb` has bytes.
    pub fn run(&self, planes: Planes, rgb: &[u8], output: &mut [f32]) {
        assert_eq!(rgb.len(), output.len(), "values of the output");
        let pixels = rgb.as_chunks::<3>().0;
        let [red, green, blue] = &self.values;
        match planes {
            Planes::Hwc => {
                for (target, pixel) in output.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    let [r, g, b] = pixel.map(usize::from);
                    *target = [red[r], green[g], blue[b]];
                }
            }
            Planes::Chw => {
                let (reds, rest) = output.split_at_mut(pixels.len());
                let (greens, blues) = rest.split_at_mut(pixels.len());
                for (((pixel, r), g), b) in pixels.iter().zip(reds).zip(greens).zip(blues) {
                    *r = red[usize::from(pixel[0])];
                    *g = green[usize::from(pixel[1])];
                    *b = blue[usize::from(pixel[2])];
                }
            }
        }
    }
}
