//! Resizing 8-bit RGB as Pillow 13 does, bit for bit: two passes with 8-bit values between them and
//! coefficients in 22-bit fixed point. Older versions of Pillow differ from it in the order of the passes
//! alone, and only for pictures that lose far more rows than columns.

use crate::geometry::GeometryError;
use std::f64::consts::PI;

/// Fractional bits of a coefficient: what 32 bits leave beside an 8-bit value and two bits for a sum
/// that overshoots.
pub const PRECISION_BITS: u32 = 32 - 8 - 2;

/// A resampling filter, by Pillow's definition of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// The source pixel under the centre of the target pixel.
    Nearest,
    /// Mean over the area, support 0.5.
    Box,
    /// Triangle, support 1.
    Bilinear,
    /// Hamming-windowed sinc, support 1.
    Hamming,
    /// Cubic with a = -0.5 (Keys, "Cubic convolution interpolation for digital image processing", 1981),
    /// support 2.
    Bicubic,
    /// Sinc windowed by its own central lobe (Duchon, "Lanczos filtering in one and two dimensions",
    /// 1979), support 3.
    Lanczos,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Filter; 6] =
        [Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos];

    /// Half the width of the filter at scale 1; 0 for [`Filter::Nearest`], which is no convolution.
    pub const fn support(self) -> f64 {
        match self {
            Filter::Nearest => 0.0,
            Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The filter's value at a distance from its centre.
    pub fn weight(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            // Half open, so that a pixel on an edge counts once.
            Filter::Nearest | Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - distance).max(0.0),
            Filter::Hamming if distance == 0.0 => 1.0,
            Filter::Hamming if distance >= 1.0 => 0.0,
            Filter::Hamming => {
                let angle = distance * PI;
                angle.sin() / angle * (0.54 + 0.46 * angle.cos())
            }
            Filter::Bicubic => {
                const A: f64 = -0.5;
                if distance < 1.0 {
                    ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
                } else if distance < 2.0 {
                    (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
                } else {
                    0.0
                }
            }
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = x * PI;
    angle.sin() / angle
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What a resize does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizeGeometry {
    /// Filter of both passes.
    pub filter: Filter,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// The part of the input that is stretched over the output: left, top, right and bottom edge, which
    /// may lie between pixels.
    pub source_box: [f32; 4],
    /// Height and width of the whole output.
    pub output: [usize; 2],
    /// The part of the output that is computed; its bytes do not depend on what is left out.
    pub window: Rect,
}

impl ResizeGeometry {
    /// Largest side of an input: up to here, every edge between pixels can be told from the next in `f32`.
    pub const MAX_INPUT_SIDE: usize = 1 << 24;

    /// The whole input to the whole output.
    pub fn new(filter: Filter, input: [usize; 2], output: [usize; 2]) -> Result<Self, GeometryError> {
        let source_box = [0.0, 0.0, input[1] as f32, input[0] as f32];
        let window = Rect { top: 0, left: 0, height: output[0], width: output[1] };
        Self::with_box(filter, input, source_box, output, window)
    }

    /// A part of the input to a part of the output; checks all sizes.
    pub fn with_box(
        filter: Filter,
        input: [usize; 2],
        source_box: [f32; 4],
        output: [usize; 2],
        window: Rect,
    ) -> Result<Self, GeometryError> {
        let fail = |what: String| Err(GeometryError::new(what));
        let [height, width] = input;
        if !(1..=Self::MAX_INPUT_SIDE).contains(&height) || !(1..=Self::MAX_INPUT_SIDE).contains(&width) {
            return fail(format!("an input of {width} x {height} cannot be resized"));
        }
        if output[0] == 0 || output[1] == 0 || output[0] > i32::MAX as usize || output[1] > i32::MAX as usize
        {
            return fail(format!("an output of {} x {} cannot be made", output[1], output[0]));
        }
        let [left, top, right, bottom] = source_box;
        let inside = left >= 0.0 && top >= 0.0 && right <= width as f32 && bottom <= height as f32;
        if !(inside && left < right && top < bottom) {
            return fail(format!("source box {source_box:?} must lie in an input of {width} x {height}"));
        }
        let fits = |start: usize, size: usize, whole: usize| {
            size > 0 && start.checked_add(size).is_some_and(|end| end <= whole)
        };
        if !fits(window.top, window.height, output[0]) || !fits(window.left, window.width, output[1]) {
            return fail(format!("{window:?} must lie in an output of {} x {}", output[1], output[0]));
        }
        Ok(Self { filter, input, source_box, output, window })
    }

    /// Whether columns, and rows, are resampled. A pass that would change nothing is left out, as its
    /// coefficients need not be those of the identity.
    pub fn passes(&self) -> [bool; 2] {
        let [left, top, right, bottom] = self.source_box;
        let [out_height, out_width] = self.output;
        [
            self.input[1] != out_width || left != 0.0 || right != out_width as f32,
            self.input[0] != out_height || top != 0.0 || bottom != out_height as f32,
        ]
    }

    /// Whether rows are resampled before columns. As there are 8 bits between the passes, the order shows
    /// in the result.
    pub fn rows_first(&self) -> bool {
        let [[height, width], [out_height, out_width]] =
            [self.input, self.output].map(|size| size.map(|n| n as i64));
        out_height < height && height - out_height > 2 * (width - out_width)
    }

    /// Most bytes that lie between the two passes.
    pub fn scratch_bound(&self) -> usize {
        let [height, width] = self.input;
        if self.rows_first() { self.window.height * width * 3 } else { self.window.width * height * 3 }
    }

    /// Coefficients for the window's columns.
    pub fn columns(&self) -> Vec<Taps> {
        let [left, _, right, _] = self.source_box;
        let window = self.window.left..self.window.left + self.window.width;
        window.map(|x| taps(self.filter, self.input[1], [left, right], self.output[1], x)).collect()
    }

    /// Coefficients for the window's rows.
    pub fn rows(&self) -> Vec<Taps> {
        let [_, top, _, bottom] = self.source_box;
        let window = self.window.top..self.window.top + self.window.height;
        window.map(|y| taps(self.filter, self.input[0], [top, bottom], self.output[0], y)).collect()
    }

    /// For [`Filter::Nearest`]: the source columns of the window's columns.
    pub fn nearest_columns(&self) -> Vec<usize> {
        let [left, _, right, _] = self.source_box;
        nearest(self.input[1], [left, right], self.output[1], self.window.left, self.window.width)
    }

    /// For [`Filter::Nearest`]: the source rows of the window's rows.
    pub fn nearest_rows(&self) -> Vec<usize> {
        let [_, top, _, bottom] = self.source_box;
        nearest(self.input[0], [top, bottom], self.output[0], self.window.top, self.window.height)
    }
}

/// What one output position is made of: input positions from `start` on, times these coefficients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First input position.
    pub start: usize,
    /// Coefficients in fixed point with [`PRECISION_BITS`].
    pub weights: Vec<i32>,
}

/// Coefficients for one position of one axis. `edges` are those of the source box.
fn taps(filter: Filter, input: usize, edges: [f32; 2], output: usize, position: usize) -> Taps {
    let scale = f64::from(edges[1] - edges[0]) / output as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let center = f64::from(edges[0]) + (position as f64 + 0.5) * scale;
    // Truncation toward zero is part of the definition.
    let start = ((center - support + 0.5) as i64).max(0) as usize;
    let end = ((center + support + 0.5) as i64).min(input as i64) as usize;
    let inverse = 1.0 / stretch;
    let weights: Vec<f64> =
        (start..end).map(|x| filter.weight((x as f64 - center + 0.5) * inverse)).collect();
    let sum: f64 = weights.iter().sum();
    let to_fixed = |weight: f64| {
        let normalised = if sum == 0.0 { weight } else { weight / sum };
        let scaled = normalised * f64::from(1 << PRECISION_BITS);
        (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
    };
    Taps { start, weights: weights.into_iter().map(to_fixed).collect() }
}

/// Source positions of one axis for the nearest filter. The position is summed up step by step, so that
/// its rounding errors are the same as Pillow's.
fn nearest(input: usize, edges: [f32; 2], output: usize, first: usize, count: usize) -> Vec<usize> {
    let step = f64::from(edges[1] - edges[0]) / output as f64;
    let mut position = f64::from(edges[0]) + step * 0.5;
    for _ in 0..first {
        position += step;
    }
    (0..count)
        .map(|_| {
            let source = (position as usize).min(input - 1);
            position += step;
            source
        })
        .collect()
}

/// Resizes the window. `input` holds `height * width * 3` bytes, the result that many of the window.
pub fn resize(geometry: &ResizeGeometry, input: &[u8]) -> Vec<u8> {
    let [height, width] = geometry.input;
    assert_eq!(input.len(), height * width * 3, "bytes of the input");
    let window = geometry.window;
    if geometry.filter == Filter::Nearest {
        let columns = geometry.nearest_columns();
        return geometry
            .nearest_rows()
            .into_iter()
            .flat_map(|y| columns.iter().flat_map(move |&x| pixel(input, width, y, x)))
            .collect();
    }
    let [resample_columns, resample_rows] = geometry.passes();
    let columns = resample_columns.then(|| geometry.columns());
    let rows = resample_rows.then(|| geometry.rows());
    let [top, left] = [window.top, window.left];
    let narrow = |image: &[u8], [height, width]: [usize; 2]| -> Vec<u8> {
        let positions = (0..height).flat_map(|y| (0..window.width).map(move |x| (y, x)));
        let made = positions.map(|(y, x)| match &columns {
            Some(columns) => weighted(&columns[x], |x| pixel(image, width, y, x)),
            None => pixel(image, width, y, left + x),
        });
        made.flatten().collect()
    };
    let shorten = |image: &[u8], width: usize| -> Vec<u8> {
        let positions = (0..window.height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let made = positions.map(|(y, x)| match &rows {
            Some(rows) => weighted(&rows[y], |y| pixel(image, width, y, x)),
            None => pixel(image, width, top + y, x),
        });
        made.flatten().collect()
    };
    if geometry.rows_first() {
        narrow(&shorten(input, width), [window.height, width])
    } else {
        shorten(&narrow(input, [height, width]), window.width)
    }
}

fn pixel(image: &[u8], width: usize, y: usize, x: usize) -> [u8; 3] {
    let start = (y * width + x) * 3;
    [image[start], image[start + 1], image[start + 2]]
}

fn weighted(taps: &Taps, pixel: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
    let mut sums = [1_i32 << (PRECISION_BITS - 1); 3];
    for (offset, &weight) in taps.weights.iter().enumerate() {
        for (sum, value) in sums.iter_mut().zip(pixel(taps.start + offset)) {
            *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(value)));
        }
    }
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}
