//! How pixels become a model's input, as data: read from configuration files, shown by `describe()`,
//! carried out by a backend's preprocessor.

use libvision_kernels::reference::normalize::Normalization;

/// Filter of a resize; each equals Pillow's of the same name, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeFilter {
    /// The source pixel under the centre of the target pixel.
    Nearest,
    /// Mean over the area, support 0.5.
    Box,
    /// Triangle, support 1.
    Bilinear,
    /// Hamming window, support 1.
    Hamming,
    /// Cubic with a = -0.5, support 2.
    Bicubic,
    /// Lanczos with 3 lobes.
    Lanczos,
}

impl ResizeFilter {
    /// Every filter.
    pub const ALL: [ResizeFilter; 6] = [
        ResizeFilter::Nearest,
        ResizeFilter::Box,
        ResizeFilter::Bilinear,
        ResizeFilter::Hamming,
        ResizeFilter::Bicubic,
        ResizeFilter::Lanczos,
    ];

    /// The lower-case name, as Pillow and configuration files write it.
    pub const fn name(self) -> &'static str {
        match self {
            ResizeFilter::Nearest => "nearest",
            ResizeFilter::Box => "box",
            ResizeFilter::Bilinear => "bilinear",
            ResizeFilter::Hamming => "hamming",
            ResizeFilter::Bicubic => "bicubic",
            ResizeFilter::Lanczos => "lanczos",
        }
    }

    /// The filter of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }
}

/// What the first step does to the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMode {
    /// No resize.
    None,
    /// The shorter side becomes `size`; the longer one is `floor(size * longer / shorter)`, as in
    /// torchvision.
    ShorterSide {
        /// Pixels.
        size: usize,
    },
    /// Exactly this size, whatever the aspect ratio.
    Exact {
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
    /// The largest size of the same aspect ratio that fits, centred on a canvas of one colour.
    Letterbox {
        /// Height of the canvas.
        height: usize,
        /// Width of the canvas.
        width: usize,
        /// Colour of the canvas.
        fill: [u8; 3],
    },
}

/// What is cut out after the resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CropPolicy {
    /// Everything stays.
    None,
    /// The middle, with torchvision's offset `round_half_even((size - crop) / 2)`; a smaller image is
    /// padded with zeros first, as torchvision does.
    Center {
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
    /// The middle, with the offset `floor((size - crop) / 2)` of Hugging Face's image processors; a smaller
    /// image is padded with zeros first, `ceil((crop - size) / 2)` of them before it.
    CenterFloor {
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
}

/// Order of the axes of the input tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// From RGB pixels to one image's part of the input tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessSpec {
    /// First step.
    pub resize: ResizeMode,
    /// Filter of that step.
    pub filter: ResizeFilter,
    /// Second step.
    pub crop: CropPolicy,
    /// Factor from a byte to the number that mean and standard deviation refer to; 1/255 as a rule.
    pub scale: f32,
    /// Subtracted, per channel.
    pub mean: [f32; 3],
    /// Divisor, per channel.
    pub std: [f32; 3],
    /// Order of the axes.
    pub layout: Layout,
    /// Whether the EXIF orientation is applied first. Off by default, as in Pillow.
    pub apply_orientation: bool,
}

impl PreprocessSpec {
    /// From bytes to numbers.
    pub(crate) fn normalization(&self) -> Normalization {
        Normalization { scale: self.scale, mean: self.mean, std: self.std }
    }

    /// Mean of ImageNet's training pictures.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// Standard deviation of ImageNet's training pictures.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

    /// torchvision's evaluation preprocessing: shorter side to `resize`, centre crop to `crop`,
    /// bilinear, ImageNet's mean and standard deviation.
    pub fn imagenet(resize: usize, crop: usize) -> Self {
        Self {
            resize: ResizeMode::ShorterSide { size: resize },
            filter: ResizeFilter::Bilinear,
            crop: CropPolicy::Center { height: crop, width: crop },
            scale: 1.0 / 255.0,
            mean: Self::IMAGENET_MEAN,
            std: Self::IMAGENET_STD,
            layout: Layout::Nchw,
            apply_orientation: false,
        }
    }
}
