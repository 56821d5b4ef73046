//! From a path to a model: files to a graph, passes, outputs, preprocessing.

use super::model::{LoadOptions, Model};
use super::outputs::name_outputs;
use crate::compile::Pipeline;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, show_shape};
use crate::import::onnx::{self, OnnxOptions};
use crate::memory::{ReadOptions, read_file};
use crate::postprocess::Head;
use crate::preprocess::{CropPolicy, PreprocessSpec, ResizeMode};
use std::path::Path;

/// Loads the file at `path`.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Model> {
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let mut notes = Vec::new();
    let mut graph = read_onnx(path, options).map_err(|error| error.context(path.display()))?;
    let finish = |graph: &mut Graph, notes: &mut Vec<String>| {
        let diagnostics = Pipeline::standard().run(graph)?;
        notes.extend(diagnostics.summary());
        name_outputs(graph)
    };
    let classifier = finish(&mut graph, &mut notes).map_err(|error| error.context(path.display()))?;
    let head = match (options.head, classifier.scores_by) {
        (Some(head), _) => head,
        (None, None) => Head::Softmax,
        (None, Some(by)) => {
            notes.push(format!("the graph ends in {by}: its outputs are scores already"));
            Head::Identity
        }
    };
    if !classifier.has_embedding {
        notes.push(
            "no classifier was found at the end of the graph, so there is no output \"embedding\"".into(),
        );
    }
    let size = picture_size(&graph).map_err(|error| error.context(path.display()))?;
    let preprocess = options.preprocess.clone().unwrap_or_else(|| default_preprocessing(size));
    Ok(Model {
        name,
        path: path.to_path_buf(),
        graph,
        preprocess,
        labels: options.labels.clone().unwrap_or_default(),
        head,
        notes,
    })
}

fn read_onnx(path: &Path, options: &LoadOptions) -> Result<Graph> {
    let read = ReadOptions { memory_map: options.memory_map, max_bytes: options.max_file_bytes };
    let file = read_file(path, read)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    onnx::import(file, OnnxOptions { folder: Some(folder), read, input_size: None })
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

/// torchvision's evaluation preprocessing, scaled from 256 and 224 pixels to the model's size; a model that
/// is not square gets the whole picture.
fn default_preprocessing([height, width]: [usize; 2]) -> PreprocessSpec {
    let resize = (height * 256 + 112) / 224;
    let mut spec = PreprocessSpec::imagenet(resize, height);
    if height != width {
        spec.resize = ResizeMode::Exact { height, width };
        spec.crop = CropPolicy::None;
    }
    spec
}
