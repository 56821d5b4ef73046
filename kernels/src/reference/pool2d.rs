//! Pooling.

use crate::geometry::Pool2dGeometry;

/// The largest value under each window of one `[channels, height, width]` image. The border never wins.
pub fn max_pool(g: &Pool2dGeometry, x: &[f32]) -> Vec<f64> {
    windows(g, x, |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// The mean under each window, of the image's pixels or of the border's zeros too.
pub fn average_pool(g: &Pool2dGeometry, count_include_pad: bool, x: &[f32]) -> Vec<f64> {
    let taps = g.window.size[0] * g.window.size[1];
    windows(g, x, |values| {
        let count = if count_include_pad { taps } else { values.len() };
        values.iter().sum::<f64>() / count as f64
    })
}

/// The mean of each of `channels` channels.
pub fn global_average_pool(channels: usize, x: &[f32]) -> Vec<f64> {
    let pixels = x.len() / channels;
    let sums = x.chunks_exact(pixels).map(|plane| plane.iter().map(|x| f64::from(*x)).sum::<f64>());
    sums.map(|sum| sum / pixels as f64).collect()
}

/// Calls `f` with the values of the image under each window.
fn windows(g: &Pool2dGeometry, x: &[f32], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let [height, width] = g.input;
    let w = &g.window;
    let mut result = Vec::with_capacity(g.channels * g.output[0] * g.output[1]);
    for channel in 0..g.channels {
        for y in 0..g.output[0] {
            for x_out in 0..g.output[1] {
                let mut values = Vec::new();
                for ky in 0..w.size[0] {
                    for kx in 0..w.size[1] {
                        let row = (y * w.stride[0] + ky * w.dilation[0]).checked_sub(w.padding.top);
                        let column = (x_out * w.stride[1] + kx * w.dilation[1]).checked_sub(w.padding.left);
                        if let (Some(row), Some(column)) = (row, column)
                            && row < height
                            && column < width
                        {
                            values.push(f64::from(x[(channel * height + row) * width + column]));
                        }
                    }
                }
                result.push(f(&values));
            }
        }
    }
    result
}
