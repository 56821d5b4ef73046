//! Preprocessing for models that come without a configuration: that of torchvision's reference weights.

use crate::preprocess::{CropPolicy, PreprocessSpec, ResizeMode};

/// torchvision's evaluation preprocessing (shorter side to 256, centre crop of 224, bilinear, ImageNet's mean
/// and standard deviation), scaled to the model's size. A model that is not square gets the whole picture.
pub(in crate::model) fn default_preprocessing([height, width]: [usize; 2]) -> PreprocessSpec {
    let shorter = (height * 256 + 112) / 224;
    let mut spec = PreprocessSpec::imagenet(shorter, height);
    if height != width {
        spec.resize = ResizeMode::Exact { height, width };
        spec.crop = CropPolicy::None;
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_scale_with_the_model() {
        assert_eq!(default_preprocessing([224, 224]), PreprocessSpec::imagenet(256, 224));
        assert_eq!(default_preprocessing([112, 112]), PreprocessSpec::imagenet(128, 112));
        assert_eq!(default_preprocessing([64, 64]), PreprocessSpec::imagenet(73, 64));
        assert_eq!(default_preprocessing([64, 96]).resize, ResizeMode::Exact { height: 64, width: 96 });
    }
}
