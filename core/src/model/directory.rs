//! Which file of a model directory holds the network.

use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The candidates in a folder, at most one of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// `model.safetensors`, the index of a file that was cut into several, or the only `*.safetensors`.
    pub(super) weights: Option<PathBuf>,
    /// `model.onnx` or the only `*.onnx`.
    pub(super) onnx: Option<PathBuf>,
}

/// Name of the index of weights that were cut into several files.
pub(super) const SHARD_INDEX: &str = "model.safetensors.index.json";

/// Looks through `folder`, not into folders in it. Fails with `FILE_NOT_FOUND` if there is no model, saying
/// what was looked for, and with `INVALID_ARGUMENT` listing the files if several of one kind compete.
pub(super) fn candidates(folder: &Path) -> Result<Candidates> {
    let mut weights = Vec::new();
    let mut onnx = Vec::new();
    let unreadable = |error| Error::from_io(folder, error);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // Names that are not UTF-8 are none of those looked for.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(".safetensors") || name == SHARD_INDEX {
            weights.push(name);
        } else if name.ends_with(".onnx") {
            onnx.push(name);
        }
    }
    let weights = choose(folder, weights, &["model.safetensors", SHARD_INDEX])?;
    let onnx = choose(folder, onnx, &["model.onnx"])?;
    if weights.is_none() && onnx.is_none() {
        return Err(Error::new(
            ErrorKind::FileNotFound,
            format!(
                "{}: no model in this folder: looked for model.safetensors, {SHARD_INDEX}, model.onnx, or one \
                 file *.safetensors or *.onnx",
                folder.display()
            ),
        ));
    }
    Ok(Candidates { weights, onnx })
}

/// The first of `preferred` that is there, or the only one.
fn choose(folder: &Path, mut names: Vec<String>, preferred: &[&str]) -> Result<Option<PathBuf>> {
    names.sort();
    if let Some(name) = preferred.iter().find(|&&name| names.iter().any(|other| other == name)) {
        return Ok(Some(folder.join(name)));
    }
    match &names[..] {
        [] => Ok(None),
        [name] => Ok(Some(folder.join(name))),
        several => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: several files could be the model: {}; name one of them, or call it {}",
                folder.display(),
                several.iter().take(8).cloned().collect::<Vec<_>>().join(", "),
                preferred[0]
            ),
        )),
    }
}
