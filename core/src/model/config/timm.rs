//! `config.json` of timm: architecture, labels, and the evaluation transform in `pretrained_cfg`.

use super::ModelConfig;
use super::fields::Fields;
use crate::error::Result;
use crate::preprocess::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};

const FILE: &str = "config.json";

const TOP: &[&str] = &[
    "architecture",
    "architectures",
    "label_names",
    "label_descriptions",
    "pretrained_cfg",
    "global_pool",
    "model_args",
    "input_size",
    "interpolation",
    "crop_pct",
    "crop_mode",
    "mean",
    "std",
];

const PRETRAINED: &[&str] = &["input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std"];

/// Largest side of a model's input.
const MAX_SIDE: usize = 16_384;

/// Whether this is a file of timm's: one architecture by name, where Hugging Face has a list of classes.
pub(super) fn is_timm(text: &str) -> Result<bool> {
    let fields = Fields::parse(FILE, text, TOP)?;
    Ok(fields.has("pretrained_cfg") || fields.has("architecture") && !fields.has("architectures"))
}

/// Reads the file: what `timm.data.create_transform(**resolve_model_data_config(model))` does to a picture,
/// with the sizes of `input_size` and `crop_pct` (those of a larger test size are asked for explicitly in
/// timm).
pub(super) fn read(text: &str, config: &mut ModelConfig) -> Result<()> {
    let top = Fields::parse(FILE, text, TOP)?;
    config.name = top.text("architecture")?;
    config.notes.push(format!("{FILE} of timm, architecture {:?}", config.name.as_deref().unwrap_or("")));
    config.network.unsupported = unsupported(&top, config.name.as_deref())?;
    // Older files have everything at the top.
    let nested = top.object("pretrained_cfg", PRETRAINED)?;
    let fields = nested.as_ref().unwrap_or(&top);
    if ["input_size", "crop_pct", "mean", "std", "interpolation"].iter().any(|name| fields.has(name)) {
        config.preprocess = Some(preprocessing(fields)?);
    }
    if let Some(names) = top.texts("label_names")? {
        let described = labels(names, top.text_map("label_descriptions")?.unwrap_or_default());
        config.labels = Some((described, format!("{FILE} (label_names)")));
    }
    Ok(())
}

/// Parts without weights of which the tensors say nothing.
fn unsupported(top: &Fields<'_>, architecture: Option<&str>) -> Result<Option<String>> {
    let name = architecture.unwrap_or_default();
    if name.contains("blur") || name.contains("resnetaa") || name.contains("resnextaa") {
        return Ok(Some(format!("architecture {name:?} blurs before each stride")));
    }
    match top.text("global_pool")?.as_deref() {
        None | Some("avg") => {}
        Some(other) => return Ok(Some(format!("global_pool {other:?}, expected \"avg\""))),
    }
    // Arguments change the network; the few that do not are not worth a list.
    let has_arguments = top.object("model_args", &[])?.is_some();
    Ok(has_arguments.then(|| "model_args, which change the network".into()))
}

/// A description in place of each name that has one: names may be numbers of synsets.
fn labels(names: Vec<String>, mut descriptions: Vec<(String, String)>) -> Vec<String> {
    descriptions.sort();
    let described = |name: String| match descriptions.binary_search_by(|(other, _)| other.cmp(&name)) {
        Ok(place) => descriptions[place].1.clone(),
        Err(_) => name,
    };
    names.into_iter().map(described).collect()
}

fn preprocessing(fields: &Fields<'_>) -> Result<PreprocessSpec> {
    let [channels, height, width] = fields.counts("input_size", MAX_SIDE)?.unwrap_or([3, 224, 224]);
    if channels != 3 {
        return Err(fields.error("input_size", "three channels"));
    }
    let crop_pct = fields.number("crop_pct", 0.05..=4.0)?.unwrap_or(0.875);
    let interpolation = fields.text("interpolation")?.unwrap_or_else(|| "bicubic".into());
    let filter = ResizeFilter::from_name(&interpolation).ok_or_else(|| {
        fields.error("interpolation", "nearest, box, bilinear, hamming, bicubic or lanczos")
    })?;
    let mean = fields.colour("mean")?.unwrap_or(PreprocessSpec::IMAGENET_MEAN);
    let std = fields.colour("std")?.unwrap_or(PreprocessSpec::IMAGENET_STD);
    if std.iter().any(|&deviation| deviation <= 0.0) {
        return Err(fields.error("std", "three numbers over 0"));
    }
    let scaled = |side: usize| ((side as f64 / crop_pct).floor() as usize).clamp(1, 4 * MAX_SIDE);
    let crop_mode = fields.text("crop_mode")?.unwrap_or_else(|| "center".into());
    let center = CropPolicy::Center { height, width };
    let (resize, crop) = match crop_mode.as_str() {
        "center" if height == width => (ResizeMode::ShorterSide { size: scaled(height) }, center),
        "center" => return Err(fields.error("input_size", "a square with crop_mode \"center\"")),
        "squash" => (ResizeMode::Exact { height: scaled(height), width: scaled(width) }, center),
        "border" if crop_pct == 1.0 => {
            let fill = mean.map(|mean| (mean * 255.0).round().clamp(0.0, 255.0) as u8);
            (ResizeMode::Letterbox { height, width, fill }, CropPolicy::None)
        }
        "border" => return Err(fields.error("crop_pct", "1 with crop_mode \"border\"")),
        _ => return Err(fields.error("crop_mode", "center, squash or border")),
    };
    Ok(PreprocessSpec {
        resize,
        filter,
        crop,
        scale: 1.0 / 255.0,
        mean,
        std,
        layout: Layout::Nchw,
        apply_orientation: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(pretrained: &str) -> Result<PreprocessSpec> {
        let mut config = ModelConfig::default();
        read(&format!(r#"{{"architecture": "resnet18", "pretrained_cfg": {pretrained}}}"#), &mut config)?;
        Ok(config.preprocess.expect("a preprocessing"))
    }

    #[test]
    fn the_scaled_size_is_rounded_down() {
        let read =
            spec(r#"{"input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic"}"#).unwrap();
        assert_eq!(read.resize, ResizeMode::ShorterSide { size: 235 });
        assert_eq!(read.filter, ResizeFilter::Bicubic);
        assert_eq!(read.crop, CropPolicy::Center { height: 224, width: 224 });
    }

    #[test]
    fn other_crop_modes() {
        let squash = spec(r#"{"input_size": [3, 96, 128], "crop_pct": 1.0, "crop_mode": "squash"}"#).unwrap();
        assert_eq!(squash.resize, ResizeMode::Exact { height: 96, width: 128 });
        let border =
            spec(r#"{"input_size": [3, 96, 96], "crop_pct": 1, "crop_mode": "border", "mean": [0, 0.5, 1]}"#);
        assert_eq!(
            border.unwrap().resize,
            ResizeMode::Letterbox { height: 96, width: 96, fill: [0, 128, 255] }
        );
        for wrong in [
            r#"{"input_size": [3, 96, 128]}"#,
            r#"{"crop_pct": 0.9, "crop_mode": "border"}"#,
            r#"{"crop_mode": "tiles"}"#,
        ] {
            assert!(
                spec(&format!("{}, \"mean\": [0, 0, 0]}}", wrong.trim_end_matches('}'))).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn descriptions_replace_names() {
        let descriptions = vec![("n2".to_string(), "cat".to_string())];
        assert_eq!(labels(vec!["n1".into(), "n2".into()], descriptions), ["n1", "cat"]);
    }
}
