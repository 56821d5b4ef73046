//! What configuration files beside a model say about preprocessing, labels and head.

mod fields;
mod hugging_face;
mod labels;
mod timm;
mod torchvision;

use crate::error::{Error, ErrorKind, Result};
use crate::memory::{ReadOptions, read_file};
use crate::postprocess::Head;
use crate::preprocess::PreprocessSpec;
use libvision_kernels::epilogue::Activation;
use std::path::Path;

pub(super) use torchvision::default_preprocessing;

/// Longest configuration file: twice what names 21,000 classes both ways.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// What the files beside a model say; `None` where they say nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelConfig {
    /// Name of the architecture.
    pub(super) name: Option<String>,
    /// From pixels to the input.
    pub(super) preprocess: Option<PreprocessSpec>,
    /// One per class, and the file they come from.
    pub(super) labels: Option<(Vec<String>, String)>,
    /// What turns logits into scores.
    pub(super) head: Option<Head>,
    /// Settings of a network that is built from its tensors.
    pub(super) network: NetworkConfig,
    /// What was read, in lines for people.
    pub(super) notes: Vec<String>,
}

/// Settings of a ResNet that its tensors do not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkConfig {
    /// After each batch norm.
    pub(super) activation: Option<Activation>,
    /// Whether the first stage halves the picture.
    pub(super) downsample_in_first_stage: bool,
    /// Whether a bottleneck's stride is on its first convolution.
    pub(super) downsample_in_bottleneck: bool,
    /// Why a network of these tensors alone would compute something else, if it would.
    pub(super) unsupported: Option<String>,
}

/// Reads what lies in `folder`: `config.json` of timm or Hugging Face, `preprocessor_config.json`, a list of
/// labels. Fails with `CONFIG_INVALID` naming file and field; unknown fields are ignored.
pub(super) fn read(folder: &Path) -> Result<ModelConfig> {
    let mut config = ModelConfig::default();
    if let Some(text) = read_text(folder, "config.json")? {
        if timm::is_timm(&text)? {
            timm::read(&text, &mut config)?;
        } else {
            hugging_face::read_config(&text, &mut config)?;
        }
    }
    if let Some(text) = read_text(folder, "preprocessor_config.json")? {
        hugging_face::read_preprocessor(&text, &mut config)?;
    }
    labels::read(folder, &mut config)?;
    Ok(config)
}

/// The text of a file, or `None` if there is none of this name.
fn read_text(folder: &Path, name: &str) -> Result<Option<String>> {
    let path = folder.join(name);
    let size = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::from_io(&path, error)),
    };
    let invalid = |what: String| Error::new(ErrorKind::ConfigInvalid, format!("{name}: {what}"));
    if size > MAX_CONFIG_BYTES {
        return Err(invalid(format!("{size} bytes are over the limit of {MAX_CONFIG_BYTES}")));
    }
    let bytes = read_file(&path, ReadOptions { memory_map: false, max_bytes: MAX_CONFIG_BYTES })?;
    let text = String::from_utf8(bytes.into()).map_err(|error| {
        invalid(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to())).with_source(error)
    })?;
    Ok(Some(text))
}
