//! The core's preprocessing data as the fields of `libvision.Preprocess`, and back.

use crate::error::argument;
use crate::number::count;
use libvision::PreprocessSpec;
use libvision::preprocess::{CropPolicy, Layout, ResizeFilter, ResizeMode};
use pyo3::prelude::*;

/// The preprocessing that torchvision's ImageNet models are evaluated with.
#[pyfunction]
pub(crate) fn imagenet(py: Python<'_>, resize: i64, crop: i64) -> PyResult<Fields> {
    Ok(Fields::from(&PreprocessSpec::imagenet(count(py, "resize", resize)?, count(py, "crop", crop)?)))
}

/// One number for the shorter side, or height and width.
#[derive(FromPyObject, IntoPyObject)]
pub(crate) enum Size {
    Side(i64),
    Both((i64, i64)),
}

/// The fields of `libvision.Preprocess`: read from its attributes, given as a dictionary.
#[derive(FromPyObject, IntoPyObject)]
pub(crate) struct Fields {
    resize: Option<Size>,
    letterbox: Option<(u8, u8, u8)>,
    filter: String,
    crop: Option<Size>,
    crop_floor: bool,
    scale: f32,
    mean: (f32, f32, f32),
    std: (f32, f32, f32),
    layout: String,
    apply_orientation: bool,
}

impl From<&PreprocessSpec> for Fields {
    fn from(spec: &PreprocessSpec) -> Self {
        let (resize, letterbox) = match spec.resize {
            ResizeMode::None => (None, None),
            ResizeMode::ShorterSide { size } => (Some(Size::Side(size as i64)), None),
            ResizeMode::Exact { height, width } => (Some(both(height, width)), None),
            ResizeMode::Letterbox { height, width, fill } => (Some(both(height, width)), Some(fill.into())),
        };
        let crop = match spec.crop {
            CropPolicy::None => None,
            CropPolicy::Center { height, width } | CropPolicy::CenterFloor { height, width } => {
                Some(both(height, width))
            }
        };
        Self {
            resize,
            letterbox,
            filter: spec.filter.name().into(),
            crop,
            crop_floor: matches!(spec.crop, CropPolicy::CenterFloor { .. }),
            scale: spec.scale,
            mean: spec.mean.into(),
            std: spec.std.into(),
            layout: layout_name(spec.layout).into(),
            apply_orientation: spec.apply_orientation,
        }
    }
}

impl Fields {
    /// The core's form of these fields; an exception names the one that cannot be taken.
    pub(crate) fn checked(self, py: Python<'_>) -> PyResult<PreprocessSpec> {
        let resize = match (self.resize, self.letterbox) {
            (None, None) => ResizeMode::None,
            (Some(Size::Side(size)), None) => ResizeMode::ShorterSide { size: count(py, "resize", size)? },
            (Some(Size::Both((height, width))), None) => {
                ResizeMode::Exact { height: count(py, "resize", height)?, width: count(py, "resize", width)? }
            }
            (Some(Size::Both((height, width))), Some(fill)) => ResizeMode::Letterbox {
                height: count(py, "resize", height)?,
                width: count(py, "resize", width)?,
                fill: fill.into(),
            },
            (_, Some(_)) => return Err(argument(py, "letterbox: resize must be (height, width) with it")),
        };
        let crop = match self.crop {
            None => CropPolicy::None,
            Some(size) => {
                let (height, width) = match size {
                    Size::Side(side) => (side, side),
                    Size::Both(both) => both,
                };
                let (height, width) = (count(py, "crop", height)?, count(py, "crop", width)?);
                if self.crop_floor {
                    CropPolicy::CenterFloor { height, width }
                } else {
                    CropPolicy::Center { height, width }
                }
            }
        };
        let filter = ResizeFilter::from_name(&self.filter).ok_or_else(|| {
            let names = ResizeFilter::ALL.map(ResizeFilter::name).join(", ");
            argument(py, format!("filter: expected one of {names}, found {:?}", self.filter))
        })?;
        let layout =
            [Layout::Nchw, Layout::Nhwc].into_iter().find(|layout| layout_name(*layout) == self.layout);
        let layout = layout.ok_or_else(|| {
            argument(py, format!("layout: expected \"nchw\" or \"nhwc\", found {:?}", self.layout))
        })?;
        Ok(PreprocessSpec {
            resize,
            filter,
            crop,
            scale: self.scale,
            mean: self.mean.into(),
            std: self.std.into(),
            layout,
            apply_orientation: self.apply_orientation,
        })
    }
}

fn both(height: usize, width: usize) -> Size {
    Size::Both((height as i64, width as i64))
}

fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "nchw",
        Layout::Nhwc => "nhwc",
    }
}
