//! Sizes and offsets of preprocessing: what each position of the result shows. The rules are those of
//! torchvision and Pillow, with their roundings.

use super::spec::{CropPolicy, PreprocessSpec, ResizeFilter, ResizeMode};
use crate::error::{Error, ErrorKind, Result};
use libvision_kernels::reference::resize::{Filter, Rect, ResizeGeometry};

/// Largest side of a result.
const MAX_OUTPUT_SIDE: usize = 16_384;

/// One axis, from the picture over the resized picture and the canvas it lies on to the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisGeometry {
    /// Side after the resize.
    pub(crate) resized: usize,
    /// Side of the canvas.
    canvas: usize,
    /// First position of the resized picture on the canvas.
    inset: usize,
    /// Positions of the result before the first that shows the canvas.
    padding: usize,
    /// Position of the canvas that the result shows first.
    crop: usize,
    /// Side of the result.
    pub(crate) output: usize,
}

/// A range of the result and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    /// First position of the result.
    pub(crate) at: usize,
    /// First position that is shown there.
    pub(crate) from: usize,
    /// Positions.
    pub(crate) count: usize,
}

impl AxisGeometry {
    /// The part of the result that shows the canvas.
    pub(crate) fn canvas(&self) -> Visible {
        let count = (self.canvas - self.crop).min(self.output - self.padding);
        Visible { at: self.padding, from: self.crop, count }
    }

    /// The part of the result that shows the resized picture. It may be empty: a crop of a letterbox can
    /// miss the picture.
    pub(crate) fn picture(&self) -> Visible {
        let canvas = self.canvas();
        let start = canvas.from.max(self.inset);
        let end = (canvas.from + canvas.count).min(self.inset + self.resized);
        let from = start - self.inset;
        Visible { at: canvas.at + (start - canvas.from), from, count: end.saturating_sub(start) }
    }
}

/// Both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) rows: AxisGeometry,
    pub(crate) columns: AxisGeometry,
    /// Colour of the canvas beside the picture. Beside the canvas, all is zero.
    pub(crate) fill: [u8; 3],
}

impl Geometry {
    /// What the spec makes of a picture of this size, which must not be empty.
    pub(crate) fn new(spec: &PreprocessSpec, height: usize, width: usize) -> Self {
        let picture = [height, width];
        let (resized, canvas, fill) = match spec.resize {
            ResizeMode::None => (picture, picture, [0; 3]),
            ResizeMode::ShorterSide { size } => {
                let resized = shorter_side(picture, size);
                (resized, resized, [0; 3])
            }
            ResizeMode::Exact { height, width } => ([height, width], [height, width], [0; 3]),
            ResizeMode::Letterbox { height, width, fill } => {
                (largest_fit(picture, [height, width]), [height, width], fill)
            }
        };
        let output = match spec.crop {
            CropPolicy::None => canvas,
            CropPolicy::Center { height, width } | CropPolicy::CenterFloor { height, width } => {
                [height, width]
            }
        };
        let axis = |axis: usize| {
            let (resized, canvas, output) = (resized[axis], canvas[axis], output[axis]);
            let (missing, excess) = (output.saturating_sub(canvas), canvas.saturating_sub(output));
            let (padding, crop) = match spec.crop {
                CropPolicy::None | CropPolicy::Center { .. } => (missing / 2, half_to_even(excess)),
                CropPolicy::CenterFloor { .. } => (missing.div_ceil(2), excess / 2),
            };
            let inset = half_to_even(canvas - resized);
            AxisGeometry { resized, canvas, inset, padding, crop, output }
        };
        Self { rows: axis(0), columns: axis(1), fill }
    }

    /// The resize of the part of a picture of this size that the result shows; `None` if it shows nothing of it.
    pub(crate) fn resize(&self, spec: &PreprocessSpec, size: [usize; 2]) -> Result<Option<ResizeGeometry>> {
        let (rows, columns) = (self.rows.picture(), self.columns.picture());
        if rows.count == 0 || columns.count == 0 {
            return Ok(None);
        }
        let window = Rect { top: rows.from, left: columns.from, height: rows.count, width: columns.count };
        let whole = [0.0, 0.0, size[1] as f32, size[0] as f32];
        let resized = [self.rows.resized, self.columns.resized];
        ResizeGeometry::with_box(filter(spec.filter), size, whole, resized, window)
            .map(Some)
            .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("preprocessing: {error}")))
    }
}

const fn filter(filter: ResizeFilter) -> Filter {
    match filter {
        ResizeFilter::Nearest => Filter::Nearest,
        ResizeFilter::Box => Filter::Box,
        ResizeFilter::Bilinear => Filter::Bilinear,
        ResizeFilter::Hamming => Filter::Hamming,
        ResizeFilter::Bicubic => Filter::Bicubic,
        ResizeFilter::Lanczos => Filter::Lanczos,
    }
}

/// Height and width of every result, or why the spec does not fix them.
pub(crate) fn output_size(spec: &PreprocessSpec) -> Result<[usize; 2]> {
    let stages = [
        match spec.resize {
            ResizeMode::None => None,
            ResizeMode::ShorterSide { size } => Some(("resize", [size, size])),
            ResizeMode::Exact { height, width } | ResizeMode::Letterbox { height, width, .. } => {
                Some(("resize", [height, width]))
            }
        },
        match spec.crop {
            CropPolicy::None => None,
            CropPolicy::Center { height, width } | CropPolicy::CenterFloor { height, width } => {
                Some(("crop", [height, width]))
            }
        },
    ];
    let invalid = |what: String| Error::new(ErrorKind::InvalidArgument, format!("preprocessing: {what}"));
    for (stage, [height, width]) in stages.into_iter().flatten() {
        if !(1..=MAX_OUTPUT_SIDE).contains(&height) || !(1..=MAX_OUTPUT_SIDE).contains(&width) {
            let what = format!("{stage} to {width} x {height}, each side must be 1 to {MAX_OUTPUT_SIDE}");
            return Err(invalid(what));
        }
    }
    match (spec.resize, spec.crop) {
        (_, CropPolicy::Center { height, width } | CropPolicy::CenterFloor { height, width }) => {
            Ok([height, width])
        }
        (ResizeMode::Exact { height, width } | ResizeMode::Letterbox { height, width, .. }, _) => {
            Ok([height, width])
        }
        (ResizeMode::None, CropPolicy::None) => {
            Err(invalid("neither resize nor crop is set, so the size of the result depends on the picture".into()))
        }
        (ResizeMode::ShorterSide { .. }, CropPolicy::None) => Err(invalid(
            "the shorter side is resized and no crop is set, so the size of the result depends on the picture"
                .into(),
        )),
    }
}

/// torchvision's rule: the shorter side becomes `size`, the longer one `int(size * long / short)`.
fn shorter_side([height, width]: [usize; 2], size: usize) -> [usize; 2] {
    if width <= height { [size * height / width, size] } else { [size, size * width / height] }
}

/// The rule of Pillow's `ImageOps.contain`: the side that limits takes the canvas's length, the other
/// one is rounded to even halves.
fn largest_fit([height, width]: [usize; 2], canvas: [usize; 2]) -> [usize; 2] {
    let [canvas_height, canvas_width] = canvas.map(|side| side as f64);
    let (height, width) = (height as f64, width as f64);
    let ratio = width / height;
    let canvas_ratio = canvas_width / canvas_height;
    let side = |length: f64| (length.round_ties_even() as usize).max(1);
    if ratio > canvas_ratio {
        [side(height / width * canvas_width).min(canvas[0]), canvas[1]]
    } else if ratio < canvas_ratio {
        [canvas[0], side(width / height * canvas_height).min(canvas[1])]
    } else {
        canvas
    }
}

/// `round(n / 2)` as Python rounds: halves go to the even neighbour.
fn half_to_even(n: usize) -> usize {
    let half = n / 2;
    half + (n % 2) * (half % 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(resize: ResizeMode, crop: CropPolicy) -> PreprocessSpec {
        PreprocessSpec { resize, crop, ..PreprocessSpec::imagenet(256, 224) }
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(shorter_side([480, 640], 256), [256, 341]);
        assert_eq!(shorter_side([640, 480], 256), [341, 256]);
        assert_eq!(shorter_side([7, 7], 256), [256, 256]);
        assert_eq!(shorter_side([16_384, 1], 256), [4_194_304, 256]);
    }

    #[test]
    fn a_smaller_picture_is_padded_and_a_larger_one_is_cut() {
        let crop = CropPolicy::Center { height: 10, width: 11 };
        let geometry = Geometry::new(&spec(ResizeMode::None, crop), 7, 20);
        assert_eq!(geometry.rows.picture(), Visible { at: 1, from: 0, count: 7 });
        assert_eq!(geometry.columns.picture(), Visible { at: 0, from: 4, count: 11 });
    }

    #[test]
    fn the_other_middle_starts_at_half_the_excess_rounded_down() {
        for (size, crop, padding, from) in
            [(11, 8, 0, 1), (13, 8, 0, 2), (15, 8, 0, 3), (5, 8, 2, 0), (4, 7, 2, 0)]
        {
            let crop = CropPolicy::CenterFloor { height: crop, width: crop };
            let rows = Geometry::new(&spec(ResizeMode::None, crop), size, size).rows;
            assert_eq!((rows.picture().at, rows.picture().from), (padding, from), "{size} to {crop:?}");
        }
    }

    #[test]
    fn a_letterbox_keeps_the_aspect_ratio() {
        let letterbox = ResizeMode::Letterbox { height: 100, width: 100, fill: [1, 2, 3] };
        let geometry = Geometry::new(&spec(letterbox, CropPolicy::None), 50, 99);
        assert_eq!((geometry.rows.resized, geometry.columns.resized), (51, 100));
        assert_eq!(geometry.rows.picture(), Visible { at: 24, from: 0, count: 51 });
        assert_eq!(geometry.rows.canvas(), Visible { at: 0, from: 0, count: 100 });
        let thin = Geometry::new(&spec(letterbox, CropPolicy::None), 1, 16_000);
        assert_eq!((thin.rows.resized, thin.columns.resized), (1, 100));
    }

    #[test]
    fn a_crop_of_a_letterbox_may_miss_the_picture() {
        let letterbox = ResizeMode::Letterbox { height: 100, width: 100, fill: [0; 3] };
        let crop = CropPolicy::Center { height: 100, width: 3 };
        let geometry = Geometry::new(&spec(letterbox, crop), 4, 1000);
        assert_eq!(geometry.columns.picture().count, 3);
        let crop = CropPolicy::Center { height: 1, width: 1 };
        for [height, width] in [[1, 1000], [1000, 1], [3, 3], [2, 1000]] {
            let geometry = Geometry::new(&spec(letterbox, crop), height, width);
            assert!(geometry.rows.picture().count <= 1 && geometry.columns.picture().count <= 1);
        }
    }

    #[test]
    fn a_spec_that_leaves_the_size_open_is_refused() {
        let open = [
            spec(ResizeMode::None, CropPolicy::None),
            spec(ResizeMode::ShorterSide { size: 9 }, CropPolicy::None),
        ];
        for spec in open {
            let error = output_size(&spec).expect_err("open");
            assert!(error.message().contains("depends on the picture"), "{error}");
        }
        let huge = spec(ResizeMode::Exact { height: 1 << 40, width: 4 }, CropPolicy::None);
        let error = output_size(&huge).expect_err("huge");
        assert!(error.message().contains("1099511627776"), "{error}");
        let zero = spec(ResizeMode::None, CropPolicy::Center { height: 0, width: 4 });
        assert_eq!(output_size(&zero).expect_err("zero").kind(), ErrorKind::InvalidArgument);
    }
}
