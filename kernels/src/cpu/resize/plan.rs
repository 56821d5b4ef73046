//! Geometry and coefficients of a resize, computed once and used for every picture of the same size.

use super::{ResizeKernels, Rows, RowsMut};
use crate::reference::resize::{Filter, PRECISION_BITS, ResizeGeometry, Taps};

/// Taps are padded with zeros to a multiple of this, so that kernels can take several at once.
pub(super) const TAP_GROUP: usize = 4;

/// The coefficients of one axis, packed for the kernels.
pub struct Axis {
    /// First input position per output position, relative to the first one of the axis.
    starts: Vec<u32>,
    /// Coefficients in fixed point, `stride` per output position.
    weights: Vec<i32>,
    stride: usize,
    /// First and last + 1 input position that any output position needs.
    extent: [usize; 2],
    /// Largest coefficient, without its sign.
    largest: u32,
}

impl Axis {
    fn new(taps: Vec<Taps>) -> Self {
        let longest = taps.iter().map(|taps| taps.weights.len()).max().unwrap_or(0);
        let stride = longest.max(1).next_multiple_of(TAP_GROUP);
        let first = taps.iter().map(|taps| taps.start).min().unwrap_or(0);
        let end = taps.iter().map(|taps| taps.start + taps.weights.len()).max().unwrap_or(0);
        let mut weights = Vec::with_capacity(taps.len() * stride);
        for taps in &taps {
            weights.extend_from_slice(&taps.weights);
            weights.resize(weights.len().next_multiple_of(stride), 0);
        }
        let starts = taps.iter().map(|taps| (taps.start - first) as u32).collect();
        let largest = weights.iter().map(|weight: &i32| weight.unsigned_abs()).max().unwrap_or(0);
        Self { starts, weights, stride, extent: [first, end], largest }
    }

    /// Output positions.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no output position.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Input positions from the first to the last that is needed.
    pub fn input_len(&self) -> usize {
        self.extent[1] - self.extent[0]
    }

    /// Whether all coefficients lie between -1.9 and 1.9, as those of every filter do that is not cut off
    /// in an extreme way at the border. Kernels that split coefficients rely on it.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only x86 kernels split coefficients")
    )]
    pub(super) fn has_small_weights(&self) -> bool {
        const SMALL: u32 = (1.9 * (1 << PRECISION_BITS) as f64) as u32;
        self.largest <= SMALL
    }

    /// First input position, counted from the axis's first, and the padded coefficients of an output
    /// position. Where the taps reach beyond [`Axis::input_len`], those coefficients are zero.
    pub fn taps(&self, position: usize) -> (usize, &[i32]) {
        let weights = &self.weights[position * self.stride..][..self.stride];
        (self.starts[position] as usize, weights)
    }
}

enum Passes {
    /// Source columns, in bytes, and source rows.
    Nearest { columns: Vec<u32>, rows: Vec<u32> },
    /// The passes that change something.
    Convolution { columns: Option<Axis>, rows: Option<Axis> },
}

/// A resize made ready: immutable, for any number of pictures and threads.
pub struct ResizePlan {
    geometry: ResizeGeometry,
    passes: Passes,
}

impl ResizePlan {
    /// Computes the coefficients.
    pub fn new(geometry: &ResizeGeometry) -> Self {
        let passes = if geometry.filter == Filter::Nearest {
            Passes::Nearest {
                columns: geometry.nearest_columns().into_iter().map(|x| x as u32 * 3).collect(),
                rows: geometry.nearest_rows().into_iter().map(|y| y as u32).collect(),
            }
        } else {
            let [columns, rows] = geometry.passes();
            Passes::Convolution {
                columns: columns.then(|| Axis::new(geometry.columns())),
                rows: rows.then(|| Axis::new(geometry.rows())),
            }
        };
        Self { geometry: *geometry, passes }
    }

    /// What it does.
    pub fn geometry(&self) -> &ResizeGeometry {
        &self.geometry
    }

    /// Bytes of scratch memory that [`ResizePlan::run`] takes.
    pub fn scratch_bytes(&self) -> usize {
        match &self.passes {
            Passes::Convolution { columns: Some(columns), rows: Some(rows) } => {
                if self.geometry.rows_first() {
                    rows.len() * columns.input_len() * 3
                } else {
                    columns.len() * rows.input_len() * 3
                }
            }
            _ => 0,
        }
    }

    /// Resizes the window of a picture. `input` holds `height * width * 3` bytes; the window's first row
    /// goes to the start of `output`, the next one `output_stride` bytes later. `scratch` grows to
    /// [`ResizePlan::scratch_bytes`] and can be used again.
    ///
    /// Panics if a buffer is too short.
    pub fn run(
        &self,
        kernels: &ResizeKernels,
        input: &[u8],
        output: &mut [u8],
        output_stride: usize,
        scratch: &mut Vec<u8>,
    ) {
        let [height, width] = self.geometry.input;
        let window = self.geometry.window;
        let (in_stride, row_bytes) = (width * 3, window.width * 3);
        assert_eq!(input.len(), height * in_stride, "bytes of the input");
        assert!(output_stride >= row_bytes, "stride of the output");
        assert!(output.len() >= (window.height - 1) * output_stride + row_bytes, "bytes of the output");
        let rows_from =
            |row: usize, byte: usize| Rows { data: &input[row * in_stride + byte..], stride: in_stride };
        let output = RowsMut { data: output, stride: output_stride };
        match &self.passes {
            Passes::Nearest { columns, rows } => {
                for (target, &y) in output.data.chunks_mut(output_stride).zip(rows) {
                    let source = &input[y as usize * in_stride..][..in_stride];
                    for (pixel, &x) in target.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
                        pixel.copy_from_slice(&source[x as usize..x as usize + 3]);
                    }
                }
            }
            Passes::Convolution { columns: None, rows: None } => {
                let source = input.chunks_exact(in_stride).skip(window.top);
                for (target, source) in output.data.chunks_mut(output_stride).zip(source).take(window.height)
                {
                    target[..row_bytes].copy_from_slice(&source[window.left * 3..][..row_bytes]);
                }
            }
            Passes::Convolution { columns: Some(columns), rows: None } => {
                let input = rows_from(window.top, columns.extent[0] * 3);
                (kernels.horizontal)(columns, input, window.height, output);
            }
            Passes::Convolution { columns: None, rows: Some(rows) } => {
                let input = rows_from(rows.extent[0], window.left * 3);
                (kernels.vertical)(rows, input, row_bytes, output);
            }
            Passes::Convolution { columns: Some(columns), rows: Some(rows) } => {
                let bytes = self.scratch_bytes();
                if scratch.len() < bytes {
                    scratch.resize(bytes, 0);
                }
                let scratch = &mut scratch[..bytes];
                let input = rows_from(rows.extent[0], columns.extent[0] * 3);
                if self.geometry.rows_first() {
                    let stride = columns.input_len() * 3;
                    (kernels.vertical)(rows, input, stride, RowsMut { data: scratch, stride });
                    (kernels.horizontal)(columns, Rows { data: scratch, stride }, window.height, output);
                } else {
                    let stride = row_bytes;
                    (kernels.horizontal)(columns, input, rows.input_len(), RowsMut { data: scratch, stride });
                    (kernels.vertical)(rows, Rows { data: scratch, stride }, row_bytes, output);
                }
            }
        }
    }
}
