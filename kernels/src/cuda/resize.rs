//! Preprocessing on the device: the tables of one picture, and the launch for a batch of pictures of any sizes.

use super::arguments::{AxisArguments, PictureArguments, ResizeArguments};
use super::divisor::Divisor;
use super::element::Element;
use super::launch::{Launch, launch, size};
use crate::geometry::GeometryError;
use crate::reference::normalize::{Normalization, Planes};
use crate::reference::resize::{Filter, PRECISION_BITS, ResizeGeometry, Taps};

/// Rows and columns of a tile of the result; `resize_normalize.cu` has the same number.
const SIDE: usize = 16;

/// Where a picture lies in its result, per axis: rows, then columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// First position that shows the resized picture's window.
    pub at: [usize; 2],
    /// First position that shows the canvas, which is filled where the picture is not. Elsewhere the bytes are 0.
    pub canvas_at: [usize; 2],
    /// Positions that show the canvas.
    pub canvas: [usize; 2],
    /// Colour of the canvas.
    pub fill: [u8; 3],
}

impl Placement {
    /// A result that the window fills.
    pub fn whole(geometry: &ResizeGeometry) -> Self {
        let canvas = [geometry.window.height, geometry.window.width];
        Self { at: [0; 2], canvas_at: [0; 2], canvas, fill: [0; 3] }
    }
}

/// The tables of one picture's resize, made once for pictures of the same size.
#[derive(Clone, Debug)]
pub struct PictureTables {
    words: Vec<u32>,
    /// Addresses are offsets into the tables until [`PictureTables::arguments`].
    arguments: PictureArguments,
}

impl PictureTables {
    /// Computes the coefficients. A picture of no visible pixel has no geometry and needs only a canvas.
    pub fn new(geometry: Option<&ResizeGeometry>, placement: &Placement) -> Result<Self, GeometryError> {
        let mut words = Vec::new();
        let mut arguments = PictureArguments {
            fill: u32::from_le_bytes([placement.fill[0], placement.fill[1], placement.fill[2], 0]),
            ..PictureArguments::default()
        };
        let rows_first = geometry.is_some_and(|g| g.rows_first() && g.filter != Filter::Nearest);
        let mut axis = |axis: usize| -> Result<AxisArguments, GeometryError> {
            let mut result = AxisArguments {
                at: size("rows or columns", placement.at[axis])?,
                canvas_at: size("rows or columns", placement.canvas_at[axis])?,
                canvas_count: size("rows or columns", placement.canvas[axis])?,
                ..AxisArguments::default()
            };
            if let Some(g) = geometry {
                let taps = axis_taps(g, axis);
                let longest = taps.iter().map(|taps| taps.weights.len()).max().unwrap_or(0);
                result.starts = words.len() as u64 * 4;
                words.extend(taps.iter().map(|taps| taps.start as u32));
                result.weights = words.len() as u64 * 4;
                for taps in &taps {
                    words.extend(taps.weights.iter().map(|weight| *weight as u32));
                    words.resize(words.len() + longest - taps.weights.len(), 0);
                }
                result.taps = size("coefficients", longest)?;
                result.count = size("rows or columns", taps.len())?;
                result.source = size("rows or columns", g.input[axis])?;
                result.stride = if axis == 0 { size("bytes of a row", g.input[1] * 3)? } else { 3 };
            }
            Ok(result)
        };
        let [rows, columns] = [axis(0)?, axis(1)?];
        [arguments.first, arguments.second] = if rows_first { [rows, columns] } else { [columns, rows] };
        arguments.rows_first = u32::from(rows_first);
        Ok(Self { words, arguments })
    }

    /// The tables, to lie in device memory at a multiple of 4.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// The picture's argument block, for interleaved RGB at `pixels` and the tables at `tables`.
    pub fn arguments(&self, pixels: u64, tables: u64) -> PictureArguments {
        let mut arguments = PictureArguments { pixels, ..self.arguments };
        for axis in [&mut arguments.first, &mut arguments.second] {
            axis.starts += tables;
            axis.weights += tables;
        }
        arguments
    }
}

/// What each position of the window is made of. A pass that changes nothing and the nearest filter have one
/// coefficient, a whole, which the fixed-point sum hands through unchanged.
fn axis_taps(g: &ResizeGeometry, axis: usize) -> Vec<Taps> {
    let single = |start: usize| Taps { start, weights: vec![1 << PRECISION_BITS] };
    let (first, count) = [(g.window.top, g.window.height), (g.window.left, g.window.width)][axis];
    if g.filter == Filter::Nearest {
        let sources = if axis == 0 { g.nearest_rows() } else { g.nearest_columns() };
        return sources.into_iter().map(single).collect();
    }
    let [columns, rows] = g.passes();
    match axis {
        0 if rows => g.rows(),
        1 if columns => g.columns(),
        _ => (first..first + count).map(single).collect(),
    }
}

/// Preprocessing of batches to one size and layout.
#[derive(Clone, Copy, Debug)]
pub struct Resize {
    /// Height and width of each result.
    pub output: [usize; 2],
    /// Type of the numbers written.
    pub element: Element,
    /// Order of the axes.
    pub planes: Planes,
    /// Channels stored per pixel with [`Planes::Hwc`], the last ones zero; [`Planes::Chw`] has 3.
    pub stored_channels: usize,
}

impl Resize {
    /// Elements of one picture's result.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.output[1] * self.stored()
    }

    fn stored(&self) -> usize {
        match self.planes {
            Planes::Chw => 3,
            Planes::Hwc => self.stored_channels.max(3),
        }
    }

    /// The table of numbers for the device: `[3, 256]` in f32.
    pub fn numbers(normalization: &Normalization) -> Vec<u8> {
        let numbers =
            (0..3).flat_map(|channel| (0..=255).map(move |value| normalization.apply(channel, value)));
        numbers.flat_map(f32::to_le_bytes).collect()
    }

    /// The launch for `count` pictures whose argument blocks lie at `pictures`, side by side.
    pub fn launch(
        &self,
        count: usize,
        pictures: u64,
        numbers: u64,
        output: u64,
    ) -> Result<Launch, GeometryError> {
        let [height, width] = self.output;
        let [row_tiles, column_tiles] = self.output.map(|side| side.div_ceil(SIDE));
        let tiles = size("tiles", row_tiles.saturating_mul(column_tiles))?;
        let blocks = size("tiles", count.saturating_mul(tiles as usize))?;
        let pixels = size("pixels", height.saturating_mul(width))?;
        let (channel_stride, pixel_stride) = match self.planes {
            Planes::Chw => (pixels, 1),
            Planes::Hwc => (1, size("channels", self.stored())?),
        };
        let arguments = ResizeArguments {
            pictures,
            numbers,
            output,
            out_height: size("rows", height)?,
            out_width: size("columns", width)?,
            channel_stride,
            pixel_stride,
            stored_channels: size("channels", self.stored())?,
            column_tiles: size("tiles", column_tiles)?,
            by_column_tiles: Divisor::new(size("tiles", column_tiles)?),
            by_picture_tiles: Divisor::new(tiles),
            picture_stride: self.output_len() as u64,
        };
        let name = match self.element {
            Element::F16 => "u8_resize_normalize_f16",
            Element::Bf16 => "u8_resize_normalize_bf16",
            Element::F32 => "u8_resize_normalize_f32",
        };
        launch(name, blocks, &arguments)
    }
}
