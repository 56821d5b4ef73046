//! From a path to a model: files to a graph, passes, outputs, preprocessing, labels.

use super::config::{self, ModelConfig, default_preprocessing};
use super::directory::{Candidates, candidates};
use super::golden::{GOLDEN_FILE, Golden};
use super::model::{LoadOptions, Model};
use super::outputs::name_outputs;
use super::weights;
use crate::compile::Pipeline;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, Value, ValueKind, show_shape};
use crate::import::onnx::{self, OnnxOptions};
use crate::memory::{MappedFile, ReadOptions, read_file};
use crate::postprocess::Head;
use crate::preprocess::{PreprocessSpec, output_size};
use crate::tensor::Tensor;
use bytes::Bytes;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Side of the pictures that weights without any configuration are for.
const DEFAULT_SIDE: usize = 224;

/// Loads the file or directory at `path`.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Model> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::from_io(path, error))?;
    let (folder, candidates) = if metadata.is_dir() {
        (path, candidates(path)?)
    } else {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        (parent.unwrap_or(Path::new(".")), candidate(path)?)
    };
    let config = config::read(folder).map_err(|error| error.context(folder.display()))?;
    let loader = Loader { options, config, folder, notes: Vec::new() };
    loader.load(path, candidates)
}

/// A file that is asked for by name.
fn candidate(path: &Path) -> Result<Candidates> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let file = Some(path.to_path_buf());
    if name.ends_with(".onnx") {
        return Ok(Candidates { onnx: file, ..Candidates::default() });
    }
    if name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") {
        return Ok(Candidates { weights: file, ..Candidates::default() });
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("{}: expected a file .onnx or .safetensors, or a folder with one", path.display()),
    ))
}

/// A network and where it came from.
struct Network {
    graph: Graph,
    file: PathBuf,
    /// What holds the graph's constants, if the file is mapped.
    mapped: Option<MappedFile>,
}

struct Loader<'l> {
    options: &'l LoadOptions,
    config: ModelConfig,
    folder: &'l Path,
    notes: Vec<String>,
}

impl Loader<'_> {
    fn load(mut self, path: &Path, candidates: Candidates) -> Result<Model> {
        let Network { mut graph, file, mapped } = self.network(candidates)?;
        let read = constants_in(&graph);
        let (head, preprocess) = self.complete(&mut graph).map_err(|error| error.context(file.display()))?;
        if self.options.memory_map {
            let_go_of_other_files(&mut graph, &read, mapped.as_ref())?;
        }
        let labels = self.labels(&graph)?;
        let golden = self.golden()?;
        // "." has no name of its own.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let stem = if path.is_dir() { whole.file_name() } else { whole.file_stem() };
        let stem = stem.map(|stem| stem.to_string_lossy().into_owned());
        let mut notes = vec![format!("network from {}", file.display())];
        notes.append(&mut self.config.notes);
        notes.append(&mut self.notes);
        Ok(Model {
            name: self.config.name.or(stem).unwrap_or_default(),
            path: path.to_path_buf(),
            graph,
            mapped,
            preprocess,
            labels,
            head,
            notes,
            golden,
        })
    }

    /// Weights if their architecture is known, else ONNX.
    fn network(&mut self, candidates: Candidates) -> Result<Network> {
        let read =
            ReadOptions { memory_map: self.options.memory_map, max_bytes: self.options.max_file_bytes };
        let input_size = self.configured_size()?;
        if let Some(file) = candidates.weights {
            let size = input_size.unwrap_or([DEFAULT_SIDE, DEFAULT_SIDE]);
            let network = || -> Result<_> {
                let (bytes, mapped) = match weights::is_index(&file) {
                    true => (None, None),
                    false => whole(&file, read).map(|(bytes, mapped)| (Some(bytes), mapped))?,
                };
                let graph = weights::network(&file, bytes, read, size, &self.config.network)
                    .map_err(|error| error.context(file.display()))?;
                Ok((graph, mapped))
            };
            match network() {
                Ok((graph, mapped)) => return Ok(Network { graph, file, mapped }),
                Err(error) if error.kind() == ErrorKind::OperatorUnsupported && candidates.onnx.is_some() => {
                    self.notes.push(format!("passed over: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        // One of the two is there, or looking for them would have failed.
        let file = candidates.onnx.unwrap_or_default();
        let options = OnnxOptions { folder: Some(self.folder), read, input_size };
        let (bytes, mapped) = whole(&file, read)?;
        let graph = onnx::import(bytes, options).map_err(|error| error.context(file.display()))?;
        Ok(Network { graph, file, mapped })
    }

    /// The size that the caller's or the files' preprocessing gives.
    fn configured_size(&self) -> Result<Option<[usize; 2]>> {
        if let Some(spec) = &self.options.preprocess {
            return output_size(spec).map(Some);
        }
        match &self.config.preprocess {
            None => Ok(None),
            Some(spec) => output_size(spec).map(Some).map_err(|error| {
                Error::new(ErrorKind::ConfigInvalid, error.message()).context(self.folder.display())
            }),
        }
    }

    /// Runs the passes, names the outputs, and settles what goes before and after the network.
    fn complete(&mut self, graph: &mut Graph) -> Result<(Head, PreprocessSpec)> {
        let diagnostics = Pipeline::standard().run(graph)?;
        let classifier = name_outputs(graph)?;
        let head = match (self.options.head, classifier.scores_by) {
            (Some(head), _) => head,
            (None, Some(by)) => {
                self.notes.push(format!("the graph ends in {by}: its outputs are scores already"));
                Head::Identity
            }
            (None, None) => self.config.head.unwrap_or(Head::Softmax),
        };
        if !classifier.has_embedding {
            self.notes.push("no classifier found at the end, so there is no output \"embedding\"".into());
        }
        self.notes.extend(diagnostics.summary());
        let size = picture_size(graph)?;
        let given = self.options.preprocess.as_ref().or(self.config.preprocess.as_ref());
        let Some(spec) = given else {
            self.notes.push("no preprocessing configured: torchvision's, scaled to the input".into());
            return Ok((head, default_preprocessing(size)));
        };
        let found = output_size(spec)?;
        if found != size {
            let (kind, whose) = match self.options.preprocess {
                Some(_) => (ErrorKind::InvalidArgument, "the given preprocessing"),
                None => (ErrorKind::ConfigInvalid, "the preprocessing of the configuration"),
            };
            return Err(Error::new(
                kind,
                format!(
                    "the network takes pictures of {}x{} (height x width), and {whose} makes {}x{}",
                    size[0], size[1], found[0], found[1]
                ),
            ));
        }
        Ok((head, spec.clone()))
    }

    /// The stored answers, if there are any.
    fn golden(&mut self) -> Result<Option<Golden>> {
        let golden = Golden::read(self.folder)?;
        if golden.is_some() {
            self.notes.push(format!("answers to golden images from {GOLDEN_FILE}"));
        }
        Ok(golden)
    }

    /// Labels, as many as the network has classes.
    fn labels(&self, graph: &Graph) -> Result<Vec<String>> {
        let (labels, source, kind) = match (&self.options.labels, &self.config.labels) {
            (Some(labels), _) => (labels, "the given labels", ErrorKind::InvalidArgument),
            (None, Some((labels, source))) => (labels, source.as_str(), ErrorKind::ConfigInvalid),
            (None, None) => return Ok(Vec::new()),
        };
        match class_count(graph) {
            Some(classes) if classes != labels.len() => Err(Error::new(
                kind,
                format!("{source}: {} labels, and the network has {classes} classes", labels.len()),
            )
            .context(self.folder.display())),
            _ => Ok(labels.clone()),
        }
    }
}

/// What the file at `path` holds, and the watch over it if it is mapped.
fn whole(path: &Path, read: ReadOptions) -> Result<(Bytes, Option<MappedFile>)> {
    if !read.memory_map {
        return Ok((read_file(path, read)?, None));
    }
    let mapped = MappedFile::open(path, read)?;
    Ok((mapped.bytes().clone(), Some(mapped)))
}

/// Where the elements of the constants lie.
fn constants_in(graph: &Graph) -> HashSet<*const u8> {
    graph.values.iter().filter_map(Value::constant).map(|tensor| tensor.bytes().as_ptr()).collect()
}

/// Copies what no pass has replaced and no watched file holds, so that a loaded model depends on no other file.
fn let_go_of_other_files(
    graph: &mut Graph,
    read: &HashSet<*const u8>,
    watched: Option<&MappedFile>,
) -> Result<()> {
    for value in &mut graph.values {
        if let ValueKind::Constant(tensor) = &mut value.kind
            && read.contains(&tensor.bytes().as_ptr())
            && !watched.is_some_and(|file| file.holds(tensor.bytes()))
        {
            *tensor = Tensor::new(tensor.shape(), tensor.to_f32()?.into_owned())?;
        }
    }
    Ok(())
}

/// Classes of the first output, if it is `[N,K]`.
pub(super) fn class_count(graph: &Graph) -> Option<usize> {
    let shape = graph.value(graph.outputs.first()?.value).shape.as_deref();
    match shape {
        Some([Dim::Batch, Dim::Fixed(classes)]) => Some(*classes),
        _ => None,
    }
}

/// Height and width of the picture that the graph takes, its only input.
fn picture_size(graph: &Graph) -> Result<[usize; 2]> {
    let shapes: Vec<&[Dim]> =
        graph.inputs.iter().map(|&input| graph.value(input).shape.as_deref().unwrap_or_default()).collect();
    match shapes[..] {
        [&[Dim::Batch, Dim::Fixed(3), Dim::Fixed(height), Dim::Fixed(width)]] => Ok([height, width]),
        _ => {
            let found: Vec<String> = shapes.into_iter().map(show_shape).collect();
            Err(Error::new(
                ErrorKind::OperatorUnsupported,
                format!("expected one input [N,3,H,W], a batch of pictures, found {}", found.join(" and ")),
            ))
        }
    }
}
