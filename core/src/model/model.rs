//! What a loaded model holds.

use super::golden::Golden;
use super::load::{class_count, load};
use crate::error::Result;
use crate::graph::Graph;
use crate::memory::MappedFile;
use crate::postprocess::Head;
use crate::preprocess::PreprocessSpec;
use std::path::{Path, PathBuf};

/// A loaded and validated model: graph, preprocessing and labels. Immutable; share it in an `Arc`.
#[derive(Debug)]
pub struct Model {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) graph: Graph,
    /// The file in which constants of the graph lie, if it is mapped.
    pub(crate) mapped: Option<MappedFile>,
    pub(crate) preprocess: PreprocessSpec,
    pub(crate) labels: Vec<String>,
    pub(crate) head: Head,
    pub(crate) notes: Vec<String>,
    pub(crate) golden: Option<Golden>,
}

/// What the caller knows better than the files.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// In place of what the configuration files say.
    pub preprocess: Option<PreprocessSpec>,
    /// In place of the labels in the files, one per class.
    pub labels: Option<Vec<String>>,
    /// In place of the head that the files imply.
    pub head: Option<Head>,
    /// Leave the weights of an `.onnx` or `.safetensors` file in it, behind a memory map, as long as the model
    /// exists: an engine packs them from there. The file must not be cut or written while the model is being
    /// loaded or an engine starts; between, that is noticed, and the next engine fails with `FILE_UNREADABLE`.
    /// Replacing it by renaming is always right.
    pub memory_map: bool,
    /// Largest file that is read.
    pub max_file_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { preprocess: None, labels: None, head: None, memory_map: true, max_file_bytes: 4 << 30 }
    }
}

impl Model {
    /// Loads an `.onnx` file, a `.safetensors` file or a model directory with the default options.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &LoadOptions::default())
    }

    /// Loads an `.onnx` file, a `.safetensors` file or a model directory.
    ///
    /// In a directory, `model.safetensors` (or the only `*.safetensors`) is taken if its tensors are those
    /// of a ResNet, else `model.onnx` (or the only `*.onnx`). Preprocessing, labels and head come from the
    /// files beside it: `config.json` of timm or Hugging Face, `preprocessor_config.json`, `labels.txt`,
    /// `classes.txt` or `imagenet_classes.txt`; without them they are torchvision's. The same files are
    /// read when a single file is named.
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        load(path.as_ref(), options)
    }

    /// Fails with `FILE_UNREADABLE` if the mapped file was changed since. To be asked before the constants of
    /// the graph are read.
    pub(crate) fn check_file(&self) -> Result<()> {
        self.mapped.as_ref().map_or(Ok(()), MappedFile::check_unchanged)
    }

    /// Name from the configuration, or that of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network after all passes. Its constants may lie in the mapped file, as [`LoadOptions::memory_map`]
    /// says. Output 0 is `logits`; an output `embedding` is the pooled feature
    /// before the classifier, where one was found.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// From pixels to the input tensor.
    pub fn preprocess(&self) -> &PreprocessSpec {
        &self.preprocess
    }

    /// One per class; empty if the files name none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Number of classes; `None` if the first output is not `[N,K]`.
    pub fn class_count(&self) -> Option<usize> {
        class_count(&self.graph)
    }

    /// What turns logits into scores.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Answers that the model's files say are right, for engines to prove a device with.
    pub fn golden(&self) -> Option<&Golden> {
        self.golden.as_ref()
    }

    /// The same model with these answers in place of those of its files.
    pub fn with_golden(self, golden: Golden) -> Self {
        Self { golden: Some(golden), ..self }
    }

    /// What was read, the passes that fired and how often, in lines for people.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
