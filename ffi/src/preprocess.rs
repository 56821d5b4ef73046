//! How pixels become a model's input, as a struct that C can read, change and hand back.

use crate::abi::{init, read};
use crate::boundary::{boundary, invalid};
use crate::handle;
use crate::model::vision_model_t;
use crate::status::vision_status_t;
use libvision::preprocess::{CropPolicy, Layout, ResizeFilter, ResizeMode};
use libvision::{PreprocessSpec, Result};

/// What the first step does to a picture's size. A number of `enum vision_resize`.
pub type vision_resize_t = u32;

/// What the first step does to a picture's size.
#[repr(C)]
pub enum vision_resize {
    /// Nothing.
    VISION_RESIZE_NONE = 0,
    /// The shorter side becomes `shorter_side`, the aspect ratio stays.
    VISION_RESIZE_SHORTER_SIDE = 1,
    /// Exactly `resize_height` and `resize_width`, whatever the aspect ratio.
    VISION_RESIZE_EXACT = 2,
    /// The largest size of the same aspect ratio within `resize_height` and `resize_width`, centred on a
    /// canvas of the colour `fill`.
    VISION_RESIZE_LETTERBOX = 3,
}

/// What is cut out after the resize. A number of `enum vision_crop`.
pub type vision_crop_t = u32;

/// What is cut out after the resize.
#[repr(C)]
pub enum vision_crop {
    /// Everything stays.
    VISION_CROP_NONE = 0,
    /// The middle, an odd rest shared as torchvision does: offset round_half_even((size - crop) / 2).
    VISION_CROP_CENTER = 1,
    /// The middle, an odd rest shared as Hugging Face's image processors do: offset (size - crop) / 2
    /// rounded down.
    VISION_CROP_CENTER_FLOOR = 2,
}

/// Filter of a resize. A number of `enum vision_filter`.
pub type vision_filter_t = u32;

/// Filter of a resize; each equals Pillow's of the same name.
#[repr(C)]
pub enum vision_filter {
    /// The source pixel under the centre of the target pixel.
    VISION_FILTER_NEAREST = 0,
    /// Mean over the area.
    VISION_FILTER_BOX = 1,
    /// Triangle.
    VISION_FILTER_BILINEAR = 2,
    /// Hamming window.
    VISION_FILTER_HAMMING = 3,
    /// Cubic with a = -0.5.
    VISION_FILTER_BICUBIC = 4,
    /// Lanczos with 3 lobes.
    VISION_FILTER_LANCZOS = 5,
}

/// Order of the axes of a tensor of pictures. A number of `enum vision_layout`.
pub type vision_layout_t = u32;

/// Order of the axes of a tensor of pictures.
#[repr(C)]
pub enum vision_layout {
    /// Batch, channel, row, column.
    VISION_LAYOUT_NCHW = 0,
    /// Batch, row, column, channel.
    VISION_LAYOUT_NHWC = 1,
}

/// From RGB pixels to a model's input: resize, crop, then (byte * scale - mean) / stddev per channel. Fill
/// with vision_preprocess_init() or vision_model_preprocess().
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_preprocess_t {
    /// Set by the function that fills the struct.
    pub struct_size: u32,
    /// First step.
    pub resize: vision_resize_t,
    /// For VISION_RESIZE_SHORTER_SIDE, in pixels.
    pub shorter_side: u32,
    /// For VISION_RESIZE_EXACT and VISION_RESIZE_LETTERBOX, in pixels.
    pub resize_height: u32,
    /// For VISION_RESIZE_EXACT and VISION_RESIZE_LETTERBOX, in pixels.
    pub resize_width: u32,
    /// Filter of the first step.
    pub filter: vision_filter_t,
    /// Second step.
    pub crop: vision_crop_t,
    /// Unless VISION_CROP_NONE, in pixels.
    pub crop_height: u32,
    /// Unless VISION_CROP_NONE, in pixels.
    pub crop_width: u32,
    /// Order of the axes.
    pub layout: vision_layout_t,
    /// 1: turn the picture as its EXIF orientation says, first of all. 0: do not.
    pub apply_orientation: u32,
    /// For VISION_RESIZE_LETTERBOX: red, green, blue; the fourth byte is 0.
    pub fill: [u8; 4],
    /// Factor from a byte to the number that `mean` and `stddev` refer to; 1/255 as a rule.
    pub scale: f32,
    /// Subtracted, per channel.
    pub mean: [f32; 3],
    /// Divisor, per channel.
    pub stddev: [f32; 3],
}

const FILTERS: [ResizeFilter; 6] = [
    ResizeFilter::Nearest,
    ResizeFilter::Box,
    ResizeFilter::Bilinear,
    ResizeFilter::Hamming,
    ResizeFilter::Bicubic,
    ResizeFilter::Lanczos,
];
const LAYOUTS: [Layout; 2] = [Layout::Nchw, Layout::Nhwc];

const RESIZE_NONE: u32 = vision_resize::VISION_RESIZE_NONE as u32;
const SHORTER_SIDE: u32 = vision_resize::VISION_RESIZE_SHORTER_SIDE as u32;
const EXACT: u32 = vision_resize::VISION_RESIZE_EXACT as u32;
const LETTERBOX: u32 = vision_resize::VISION_RESIZE_LETTERBOX as u32;
const CROP_NONE: u32 = vision_crop::VISION_CROP_NONE as u32;
const CENTER: u32 = vision_crop::VISION_CROP_CENTER as u32;
const CENTER_FLOOR: u32 = vision_crop::VISION_CROP_CENTER_FLOOR as u32;

/// `None` for NULL.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's.
pub(crate) unsafe fn optional(
    pointer: *const vision_preprocess_t,
    name: &str,
) -> Result<Option<PreprocessSpec>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, imagenet(), name)? };
    to_spec(&given, name).map(Some)
}

fn to_spec(given: &vision_preprocess_t, name: &str) -> Result<PreprocessSpec> {
    let (height, width) = (given.resize_height as usize, given.resize_width as usize);
    let (crop_height, crop_width) = (given.crop_height as usize, given.crop_width as usize);
    let [red, green, blue, _] = given.fill;
    let unknown = |field: &str, number: u32| {
        invalid(format!("{name}.{field} is {number}; expected a VISION_{}_...", field.to_uppercase()))
    };
    Ok(PreprocessSpec {
        resize: match given.resize {
            RESIZE_NONE => ResizeMode::None,
            SHORTER_SIDE => ResizeMode::ShorterSide { size: given.shorter_side as usize },
            EXACT => ResizeMode::Exact { height, width },
            LETTERBOX => ResizeMode::Letterbox { height, width, fill: [red, green, blue] },
            other => return Err(unknown("resize", other)),
        },
        filter: *FILTERS.get(given.filter as usize).ok_or_else(|| unknown("filter", given.filter))?,
        crop: match given.crop {
            CROP_NONE => CropPolicy::None,
            CENTER => CropPolicy::Center { height: crop_height, width: crop_width },
            CENTER_FLOOR => CropPolicy::CenterFloor { height: crop_height, width: crop_width },
            other => return Err(unknown("crop", other)),
        },
        scale: given.scale,
        mean: given.mean,
        std: given.stddev,
        layout: *LAYOUTS.get(given.layout as usize).ok_or_else(|| unknown("layout", given.layout))?,
        apply_orientation: given.apply_orientation != 0,
    })
}

fn from_spec(spec: &PreprocessSpec) -> vision_preprocess_t {
    let mut filled = vision_preprocess_t {
        struct_size: size_of::<vision_preprocess_t>() as u32,
        resize: RESIZE_NONE,
        shorter_side: 0,
        resize_height: 0,
        resize_width: 0,
        filter: FILTERS.iter().position(|&filter| filter == spec.filter).unwrap_or_default() as u32,
        crop: CROP_NONE,
        crop_height: 0,
        crop_width: 0,
        layout: LAYOUTS.iter().position(|&layout| layout == spec.layout).unwrap_or_default() as u32,
        apply_orientation: spec.apply_orientation.into(),
        fill: [0; 4],
        scale: spec.scale,
        mean: spec.mean,
        stddev: spec.std,
    };
    match spec.resize {
        ResizeMode::None => {}
        ResizeMode::ShorterSide { size } => {
            filled.resize = SHORTER_SIDE;
            filled.shorter_side = size as u32;
        }
        ResizeMode::Exact { height, width } => {
            filled.resize = EXACT;
            (filled.resize_height, filled.resize_width) = (height as u32, width as u32);
        }
        ResizeMode::Letterbox { height, width, fill: [red, green, blue] } => {
            filled.resize = LETTERBOX;
            (filled.resize_height, filled.resize_width) = (height as u32, width as u32);
            filled.fill = [red, green, blue, 0];
        }
    }
    let (crop, height, width) = match spec.crop {
        CropPolicy::None => (CROP_NONE, 0, 0),
        CropPolicy::Center { height, width } => (CENTER, height, width),
        CropPolicy::CenterFloor { height, width } => (CENTER_FLOOR, height, width),
    };
    (filled.crop, filled.crop_height, filled.crop_width) = (crop, height as u32, width as u32);
    filled
}

fn imagenet() -> vision_preprocess_t {
    from_spec(&PreprocessSpec::imagenet(256, 224))
}

/// Fills `preprocess` with what torchvision does before its ImageNet models: shorter side to 256,
/// bilinear, middle 224 by 224. `preprocess_size` is sizeof(vision_preprocess_t).
///
/// # Safety
///
/// `preprocess` is NULL or writable for `preprocess_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_preprocess_init(
    preprocess: *mut vision_preprocess_t,
    preprocess_size: usize,
) -> vision_status_t {
    // SAFETY: the caller's promise.
    boundary(|| unsafe { init(preprocess, preprocess_size, imagenet(), "preprocess") })
}

/// Fills `preprocess` with what `model` does. Change it and load the model again with it in
/// vision_load_options_t to have another. `preprocess_size` is sizeof(vision_preprocess_t).
///
/// # Safety
///
/// `preprocess` is NULL or writable for `preprocess_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_preprocess(
    model: *const vision_model_t,
    preprocess: *mut vision_preprocess_t,
    preprocess_size: usize,
) -> vision_status_t {
    boundary(|| {
        let model = handle::get(model, "model")?;
        // SAFETY: the caller's promise.
        unsafe { init(preprocess, preprocess_size, from_spec(model.model.preprocess()), "preprocess") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_survives_the_way_to_c_and_back() {
        assert_eq!(FILTERS, ResizeFilter::ALL);
        let (height, width) = (5, 6);
        let resizes = [
            ResizeMode::None,
            ResizeMode::ShorterSide { size: 4 },
            ResizeMode::Exact { height, width },
            ResizeMode::Letterbox { height, width, fill: [7, 8, 9] },
        ];
        for resize in resizes {
            let crops = [
                CropPolicy::None,
                CropPolicy::Center { height, width },
                CropPolicy::CenterFloor { height, width },
            ];
            for (filter, crop) in FILTERS.into_iter().zip(crops.into_iter().cycle()) {
                for (layout, apply_orientation) in [(Layout::Nchw, true), (Layout::Nhwc, false)] {
                    let spec = PreprocessSpec {
                        resize,
                        filter,
                        crop,
                        scale: 0.5,
                        mean: [1.0, 2.0, 3.0],
                        std: [4.0, 5.0, 6.0],
                        layout,
                        apply_orientation,
                    };
                    assert_eq!(to_spec(&from_spec(&spec), "preprocess").unwrap(), spec);
                }
            }
        }
    }

    #[test]
    fn numbers_that_mean_nothing_are_named() {
        let message = |change: fn(&mut vision_preprocess_t)| {
            let mut given = imagenet();
            change(&mut given);
            to_spec(&given, "p").unwrap_err().message().to_owned()
        };
        assert_eq!(message(|p| p.resize = 4), "p.resize is 4; expected a VISION_RESIZE_...");
        assert_eq!(message(|p| p.crop = 3), "p.crop is 3; expected a VISION_CROP_...");
        assert_eq!(message(|p| p.filter = 6), "p.filter is 6; expected a VISION_FILTER_...");
        assert_eq!(message(|p| p.layout = 2), "p.layout is 2; expected a VISION_LAYOUT_...");
    }
}
