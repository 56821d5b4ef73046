//! `config.json` and `preprocessor_config.json` of Hugging Face's transformers.

use super::fields::Fields;
use super::{ModelConfig, labels};
use crate::error::Result;
use crate::postprocess::Head;
use crate::preprocess::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};
use libvision_kernels::epilogue::Activation;

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Largest side of a model's input.
const MAX_SIDE: usize = 16_384;

/// OpenAI's CLIP, whose numbers the processors for CLIP and BiT have as defaults.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// From this size on, ConvNext's processor warps the picture to the model's size instead of cropping.
const CONVNEXT_WARP: usize = 384;

/// Reads `config.json`: labels, head, and the settings of a ResNet.
pub(super) fn read_config(text: &str, config: &mut ModelConfig) -> Result<()> {
    const KNOWN: &[&str] = &[
        "architectures",
        "model_type",
        "id2label",
        "problem_type",
        "hidden_act",
        "downsample_in_first_stage",
        "downsample_in_bottleneck",
    ];
    let fields = Fields::parse(CONFIG, text, KNOWN)?;
    let architecture = fields.texts("architectures")?.and_then(|list| list.into_iter().next());
    if let Some(architecture) = &architecture {
        config.notes.push(format!("{CONFIG} of Hugging Face, architecture {architecture:?}"));
    }
    if let Some(entries) = fields.text_map("id2label")? {
        let labels = labels::in_order(entries).map_err(|expected| fields.error("id2label", &expected))?;
        config.labels = Some((labels, format!("{CONFIG} (id2label)")));
    }
    config.head = match fields.text("problem_type")?.as_deref() {
        None => None,
        Some("single_label_classification") => Some(Head::Softmax),
        Some("multi_label_classification") => Some(Head::Sigmoid),
        Some("regression") => Some(Head::Identity),
        Some(_) => {
            let known = "single_label_classification, multi_label_classification or regression";
            return Err(fields.error("problem_type", known));
        }
    };
    let network = &mut config.network;
    network.downsample_in_first_stage = fields.flag("downsample_in_first_stage")?.unwrap_or(false);
    network.downsample_in_bottleneck = fields.flag("downsample_in_bottleneck")?.unwrap_or(false);
    network.activation = match fields.text("hidden_act")?.as_deref() {
        None => None,
        Some("relu") => Some(Activation::Relu),
        Some("relu6") => Some(Activation::Clip { low: 0.0, high: 6.0 }),
        Some("silu" | "swish") => Some(Activation::Silu),
        Some("sigmoid") => Some(Activation::Sigmoid),
        Some("linear") => Some(Activation::Identity),
        Some(other) => {
            network.unsupported = Some(format!("hidden_act {other:?}"));
            None
        }
    };
    Ok(())
}

/// The image processors that are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// Resize and crop by one size and a fraction.
    ConvNext,
    /// Resize to an exact size, no crop.
    Vit,
    /// Resize the shorter side, then crop: CLIP, BiT, MobileNet and the like, and files that name none.
    ShorterSideAndCrop,
}

/// Reads `preprocessor_config.json`.
pub(super) fn read_preprocessor(text: &str, config: &mut ModelConfig) -> Result<()> {
    const KNOWN: &[&str] = &[
        "image_processor_type",
        "feature_extractor_type",
        "do_resize",
        "size",
        "resample",
        "crop_pct",
        "do_center_crop",
        "crop_size",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
    ];
    let fields = Fields::parse(PREPROCESSOR, text, KNOWN)?;
    let type_field = match fields.has("image_processor_type") {
        true => "image_processor_type",
        false => "feature_extractor_type",
    };
    let name = fields.text(type_field)?;
    let (processor, is_fast) = match &name {
        None => (Processor::ShorterSideAndCrop, false),
        Some(name) => {
            let base = name.strip_suffix("Fast").unwrap_or(name);
            let base = base.strip_suffix("ImageProcessor").or_else(|| base.strip_suffix("FeatureExtractor"));
            let processor = match base {
                Some("ConvNext") => Processor::ConvNext,
                Some("ViT") => Processor::Vit,
                Some("Bit" | "CLIP" | "DeiT" | "MobileNetV1" | "MobileNetV2") => {
                    Processor::ShorterSideAndCrop
                }
                _ => {
                    return Err(
                        fields.error(type_field, "a ConvNext, ViT, Bit, CLIP, DeiT or MobileNet processor")
                    );
                }
            };
            (processor, name.ends_with("Fast"))
        }
    };
    let (resize, crop) = geometry(&fields, processor)?;
    let crop = match (crop, is_fast) {
        (None, _) => CropPolicy::None,
        // The fast processors crop with torchvision.
        (Some([height, width]), true) => CropPolicy::Center { height, width },
        (Some([height, width]), false) => CropPolicy::CenterFloor { height, width },
    };
    let (mean, std) = normalisation(&fields, processor)?;
    config.notes.push(format!("{PREPROCESSOR}, {}", name.as_deref().unwrap_or("of no named processor")));
    config.preprocess = Some(PreprocessSpec {
        resize,
        filter: filter(&fields, processor)?,
        crop,
        scale: scale(&fields)?,
        mean,
        std,
        layout: Layout::Nchw,
        apply_orientation: false,
    });
    Ok(())
}

/// What is done to the size, and height and width of the crop.
fn geometry(fields: &Fields<'_>, processor: Processor) -> Result<(ResizeMode, Option<[usize; 2]>)> {
    let does_resize = fields.flag("do_resize")?.unwrap_or(true);
    let size = Size::read(fields, "size", processor == Processor::Vit)?;
    match processor {
        Processor::ConvNext => {
            let side = match size {
                Some(Size::ShorterSide(side)) => side,
                None => CONVNEXT_WARP,
                Some(Size::Exact(_)) => return Err(fields.error("size", "shortest_edge")),
            };
            let square = [side, side];
            if !does_resize {
                return Ok((ResizeMode::None, None));
            }
            if side >= CONVNEXT_WARP {
                return Ok((ResizeMode::Exact { height: side, width: side }, None));
            }
            let crop_pct = fields.number("crop_pct", 0.05..=4.0)?.unwrap_or(224.0 / 256.0);
            let shorter = ((side as f64 / crop_pct) as usize).max(1);
            Ok((ResizeMode::ShorterSide { size: shorter }, Some(square)))
        }
        Processor::Vit | Processor::ShorterSideAndCrop => {
            let default = match processor {
                Processor::Vit => Size::Exact([224, 224]),
                _ => Size::ShorterSide(224),
            };
            let resize = match size.unwrap_or(default) {
                _ if !does_resize => ResizeMode::None,
                Size::ShorterSide(size) => ResizeMode::ShorterSide { size },
                Size::Exact([height, width]) => ResizeMode::Exact { height, width },
            };
            let does_crop = fields.flag("do_center_crop")?.unwrap_or(processor != Processor::Vit);
            if !does_crop || processor == Processor::Vit {
                return Ok((resize, None));
            }
            let crop = match Size::read(fields, "crop_size", true)? {
                None => [224, 224],
                Some(Size::Exact(size)) => size,
                Some(Size::ShorterSide(side)) => [side, side],
            };
            Ok((resize, Some(crop)))
        }
    }
}

/// The ways to write a size: a number, a pair of names, a shorter side.
enum Size {
    ShorterSide(usize),
    /// Height and width.
    Exact([usize; 2]),
}

impl Size {
    /// A plain number is a square where `number_is_square`, else the shorter side.
    fn read(fields: &Fields<'_>, name: &str, number_is_square: bool) -> Result<Option<Self>> {
        if !fields.has(name) {
            return Ok(None);
        }
        if let Ok(Some(side)) = fields.count(name, MAX_SIDE) {
            let square = Size::Exact([side, side]);
            return Ok(Some(if number_is_square { square } else { Size::ShorterSide(side) }));
        }
        let expected = format!("a number from 1 to {MAX_SIDE}, a shortest_edge, or height and width");
        let parts = fields
            .object(name, &["shortest_edge", "height", "width"])
            .map_err(|_| fields.error(name, &expected))?
            .ok_or_else(|| fields.error(name, &expected))?;
        let shorter = parts.count("shortest_edge", MAX_SIDE)?;
        let exact = (parts.count("height", MAX_SIDE)?, parts.count("width", MAX_SIDE)?);
        match (shorter, exact) {
            (Some(side), (None, None)) => Ok(Some(Size::ShorterSide(side))),
            (None, (Some(height), Some(width))) => Ok(Some(Size::Exact([height, width]))),
            _ => Err(fields.error(name, &expected)),
        }
    }
}

/// `resample` is a constant of Pillow.
fn filter(fields: &Fields<'_>, processor: Processor) -> Result<ResizeFilter> {
    let default = match processor {
        Processor::ConvNext | Processor::Vit => 2.0,
        Processor::ShorterSideAndCrop => 3.0,
    };
    let number = fields.number("resample", 0.0..=5.0)?.unwrap_or(default);
    let filters = [
        ResizeFilter::Nearest,
        ResizeFilter::Lanczos,
        ResizeFilter::Bilinear,
        ResizeFilter::Bicubic,
        ResizeFilter::Box,
        ResizeFilter::Hamming,
    ];
    match filters.get(number as usize) {
        Some(&filter) if number.fract() == 0.0 => Ok(filter),
        _ => Err(fields.error("resample", "a whole number from 0 to 5 (Pillow's constants)")),
    }
}

fn scale(fields: &Fields<'_>) -> Result<f32> {
    let factor = fields.number("rescale_factor", 1e-6..=1e6)?.unwrap_or(1.0 / 255.0);
    match fields.flag("do_rescale")?.unwrap_or(true) {
        true => Ok(factor as f32),
        false => Ok(1.0),
    }
}

fn normalisation(fields: &Fields<'_>, processor: Processor) -> Result<([f32; 3], [f32; 3])> {
    let (mean, std) = match processor {
        Processor::ConvNext | Processor::Vit => ([0.5; 3], [0.5; 3]),
        Processor::ShorterSideAndCrop => (CLIP_MEAN, CLIP_STD),
    };
    let mean = fields.colour("image_mean")?.unwrap_or(mean);
    let std = fields.colour("image_std")?.unwrap_or(std);
    if std.iter().any(|&deviation| deviation <= 0.0) {
        return Err(fields.error("image_std", "three numbers over 0"));
    }
    match fields.flag("do_normalize")?.unwrap_or(true) {
        true => Ok((mean, std)),
        false => Ok(([0.0; 3], [1.0; 3])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<PreprocessSpec> {
        let mut config = ModelConfig::default();
        read_preprocessor(text, &mut config)?;
        Ok(config.preprocess.expect("a preprocessing"))
    }

    #[test]
    fn every_way_to_write_a_size() {
        let crop = |side| CropPolicy::CenterFloor { height: side, width: side };
        let exact = |height, width| ResizeMode::Exact { height, width };
        let shorter = |size| ResizeMode::ShorterSide { size };
        for (text, resize, expected_crop) in [
            (
                r#"{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}"#,
                shorter(256),
                crop(224),
            ),
            (
                r#"{"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.95}"#,
                shorter(235),
                crop(224),
            ),
            (
                r#"{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}}"#,
                exact(384, 384),
                CropPolicy::None,
            ),
            (
                r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 128}}"#,
                exact(96, 128),
                CropPolicy::None,
            ),
            (
                r#"{"feature_extractor_type": "ViTFeatureExtractor", "size": 96}"#,
                exact(96, 96),
                CropPolicy::None,
            ),
            (
                r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 448}, "crop_size": {"height": 447, "width": 447}}"#,
                shorter(448),
                crop(447),
            ),
            (
                r#"{"image_processor_type": "CLIPImageProcessor", "size": 96, "crop_size": 90}"#,
                shorter(96),
                crop(90),
            ),
            (
                r#"{"size": {"height": 64, "width": 64}, "do_center_crop": false}"#,
                exact(64, 64),
                CropPolicy::None,
            ),
            (r#"{"do_resize": false, "crop_size": 90}"#, ResizeMode::None, crop(90)),
        ] {
            let read = spec(text).unwrap();
            assert_eq!((read.resize, read.crop), (resize, expected_crop), "{text}");
        }
        let fast = spec(r#"{"image_processor_type": "BitImageProcessorFast"}"#).unwrap();
        assert_eq!(fast.crop, CropPolicy::Center { height: 224, width: 224 });
    }

    #[test]
    fn steps_that_are_off_change_nothing() {
        let read =
            spec(r#"{"do_rescale": false, "do_normalize": false, "image_mean": [1, 2, 3], "resample": 1}"#)
                .unwrap();
        assert_eq!((read.scale, read.mean, read.std), (1.0, [0.0; 3], [1.0; 3]));
        assert_eq!(read.filter, ResizeFilter::Lanczos);
    }
}
