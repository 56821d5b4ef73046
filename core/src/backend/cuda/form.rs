//! How one image's part of a tensor lies in device memory, and the way there and back.

use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::stored_channels;

/// Pixels after one another, each with its channels and what fills them up; a row of values is one pixel.
///
/// A flattened image keeps its form: value `channel * pixels + pixel` of the row is that channel of that pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) element: Element,
    pub(super) channels: usize,
    /// Channels with those that fill up, which are finite.
    pub(super) stored: usize,
    pub(super) pixels: usize,
}

impl Form {
    /// An image, or a row as one pixel, with channels filled up for the kernels.
    pub(super) fn image(element: Element, channels: usize, pixels: usize) -> Self {
        Self { element, channels, stored: stored_channels(channels), pixels }
    }

    /// Scores: a row of f32 with nothing between one image and the next.
    pub(super) fn scores(values: usize) -> Self {
        Self { element: Element::F32, channels: values, stored: values, pixels: 1 }
    }

    /// Elements that lie in memory.
    pub(super) fn stored_elements(&self) -> usize {
        self.stored * self.pixels
    }

    /// Values that mean something.
    pub(super) fn values(&self) -> usize {
        self.channels * self.pixels
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.stored_elements() * self.element.bytes()
    }

    /// Writes images given channel by channel; channels that fill up become zero. Writes each byte once, in order.
    pub(super) fn pack(&self, values: &[f32], bytes: &mut [u8]) {
        let images = values.chunks_exact(self.values()).zip(bytes.chunks_exact_mut(self.bytes()));
        let size = self.element.bytes();
        for (image, target) in images {
            for (pixel, target) in target.chunks_exact_mut(self.stored * size).enumerate() {
                for (channel, target) in target.chunks_exact_mut(size).enumerate() {
                    let value =
                        if channel < self.channels { image[channel * self.pixels + pixel] } else { 0.0 };
                    self.element.write(target, value);
                }
            }
        }
    }

    /// Reads images back, channel by channel.
    pub(super) fn unpack(&self, bytes: &[u8], values: &mut [f32]) {
        let images = values.chunks_exact_mut(self.values()).zip(bytes.chunks_exact(self.bytes()));
        let size = self.element.bytes();
        for (image, source) in images {
            for (pixel, source) in source.chunks_exact(self.stored * size).enumerate() {
                for (channel, source) in source.chunks_exact(size).take(self.channels).enumerate() {
                    image[channel * self.pixels + pixel] = self.element.read(source);
                }
            }
        }
    }

    /// Columns of a matrix that multiplies rows of this form: `[rows, values]` to `[rows, stored elements]`.
    pub(super) fn arrange_columns(&self, matrix: &[f32]) -> Vec<f32> {
        let mut arranged = vec![0.0; matrix.len() / self.values() * self.stored_elements()];
        let rows = matrix.chunks_exact(self.values()).zip(arranged.chunks_exact_mut(self.stored_elements()));
        for (row, target) in rows {
            for channel in 0..self.channels {
                for pixel in 0..self.pixels {
                    target[pixel * self.stored + channel] = row[channel * self.pixels + pixel];
                }
            }
        }
        arranged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_they_went() {
        for element in Element::ALL {
            for (channels, pixels) in [(1, 1), (3, 5), (8, 4), (9, 2), (17, 1)] {
                let mut forms = vec![Form::image(element, channels, pixels)];
                forms.extend((channels <= 4).then(|| Form { stored: 4, ..forms[0] }));
                forms.extend((pixels == 1).then(|| Form::scores(channels)));
                for form in forms {
                    let values: Vec<f32> = (0..2 * form.values()).map(|value| value as f32).collect();
                    let mut bytes = vec![0xff; 2 * form.bytes()];
                    form.pack(&values, &mut bytes);
                    let mut back = vec![f32::NAN; values.len()];
                    form.unpack(&bytes, &mut back);
                    assert_eq!(back, values, "{form:?}");
                    let elements = form.element.unpack(&bytes);
                    let filling = elements.chunks(form.stored).flat_map(|pixel| &pixel[form.channels..]);
                    assert!(filling.into_iter().all(|value| *value == 0.0), "{form:?}");
                }
            }
        }
    }

    #[test]
    fn columns_follow_the_order_of_rows() {
        let form = Form::image(Element::F32, 3, 2);
        let matrix: Vec<f32> = (1..=12).map(|value| value as f32).collect();
        let row = [0.5, -1.0, 2.0, 0.25, 3.0, 1.0];
        let mut bytes = vec![0; form.bytes()];
        form.pack(&row, &mut bytes);
        let stored = Element::F32.unpack(&bytes);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let arranged = form.arrange_columns(&matrix);
        for (plain, arranged) in matrix.chunks(6).zip(arranged.chunks(form.stored_elements())) {
            assert_eq!(dot(arranged, &stored), dot(plain, &row));
        }
    }
}
