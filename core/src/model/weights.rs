//! Weights without a graph: one safetensors file, or several under an index.

use super::config::NetworkConfig;
use super::directory::SHARD_INDEX;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::import::architectures::{ResNetOptions, resnet};
use crate::import::safetensors::{self, StoredTensors};
use crate::memory::{ReadOptions, read_file};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most files that an index may name.
const MAX_SHARDS: usize = 64;

/// Longest index.
const MAX_INDEX_BYTES: u64 = 4 << 20;

/// The network of the weights at `path`, for pictures of `input_size`. `whole` is what the file holds, if it is
/// no index.
pub(super) fn network(
    path: &Path,
    whole: Option<Bytes>,
    read: ReadOptions,
    input_size: [usize; 2],
    config: &NetworkConfig,
) -> Result<Graph> {
    if let Some(reason) = &config.unsupported {
        return Err(Error::new(
            ErrorKind::OperatorUnsupported,
            format!("config.json asks for {reason}; export this network as ONNX"),
        ));
    }
    let tensors = match whole {
        Some(bytes) => safetensors::read(bytes)?,
        None => read_shards(path, read)?,
    };
    let defaults = ResNetOptions::new(input_size);
    let options = ResNetOptions {
        activation: config.activation.unwrap_or(defaults.activation),
        downsample_in_first_stage: config.downsample_in_first_stage,
        downsample_in_bottleneck: config.downsample_in_bottleneck,
        ..defaults
    };
    resnet(&tensors, &options)
}

/// Whether the file at `path` lists others.
pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == SHARD_INDEX)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_shards(path: &Path, read: ReadOptions) -> Result<StoredTensors> {
    let invalid = |what: String| Error::new(ErrorKind::ConfigInvalid, format!("{SHARD_INDEX}: {what}"));
    let max_bytes = MAX_INDEX_BYTES.min(read.max_bytes);
    let text = read_file(path, ReadOptions { memory_map: false, max_bytes })?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    let files: BTreeSet<&String> = index.weight_map.values().collect();
    if files.len() > MAX_SHARDS {
        return Err(invalid(format!("{} files are over the limit of {MAX_SHARDS}", files.len())));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut tensors = StoredTensors::new();
    for file in files {
        if Path::new(file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(invalid(format!("expected the name of a file in the same folder, found {file:?}")));
        }
        let read = safetensors::read(read_file(&folder.join(file), read)?);
        for (name, tensor) in read.map_err(|error| error.context(file))? {
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(invalid(format!("tensor {name:?} lies in more than one file")));
            }
        }
    }
    if let Some(name) = index.weight_map.keys().find(|name| !tensors.contains_key(*name)) {
        return Err(invalid(format!("tensor {name:?} lies in none of the files")));
    }
    Ok(tensors)
}
