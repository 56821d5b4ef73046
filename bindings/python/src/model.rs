//! A loaded model, and what it tells about itself.

use crate::error::{argument, exception};
use crate::number::count;
use crate::preprocess::Fields;
use libvision::graph::{Dim, ValueId};
use libvision::{Head, LoadOptions};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

/// A loaded and checked model, tied to no device.
#[pyclass(frozen)]
pub(crate) struct Model {
    model: Arc<libvision::Model>,
}

/// Name of an input or output and the sizes of its axes; `None` stands for the number of images.
type NamedShape<'a> = (&'a str, Vec<Option<usize>>);

impl Model {
    pub(crate) fn shared(&self) -> Arc<libvision::Model> {
        self.model.clone()
    }

    fn shape(&self, value: ValueId) -> Vec<Option<usize>> {
        let axes = self.model.graph().value(value).shape.as_deref().unwrap_or_default();
        let sizes = axes.iter().map(|axis| match axis {
            Dim::Fixed(size) => Some(*size),
            Dim::Batch => None,
        });
        sizes.collect()
    }
}

#[pymethods]
impl Model {
    /// Loads an ONNX file, a safetensors file or a model directory. What is not `None` takes the place
    /// of what the files say, or of the default.
    #[new]
    #[pyo3(signature = (path, *, preprocess, labels, head, memory_map, max_file_bytes))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        preprocess: Option<Fields>,
        labels: Option<Vec<String>>,
        head: Option<&str>,
        memory_map: Option<bool>,
        max_file_bytes: Option<i64>,
    ) -> PyResult<Self> {
        let mut options = LoadOptions {
            preprocess: preprocess.map(|fields| fields.checked(py)).transpose()?,
            labels,
            head: head.map(|name| parse_head(py, name)).transpose()?,
            ..LoadOptions::default()
        };
        if let Some(memory_map) = memory_map {
            options.memory_map = memory_map;
        }
        if let Some(bytes) = max_file_bytes {
            options.max_file_bytes = count(py, "max_file_bytes", bytes)? as u64;
        }
        let model = py.detach(|| libvision::Model::load_with(&path, &options));
        Ok(Self { model: Arc::new(model.map_err(|error| exception(py, &error))?) })
    }

    #[getter]
    fn name(&self) -> &str {
        self.model.name()
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.model.path().to_owned()
    }

    #[getter]
    fn labels(&self) -> Vec<&str> {
        self.model.labels().iter().map(String::as_str).collect()
    }

    #[getter]
    fn head(&self) -> &'static str {
        head_name(self.model.head())
    }

    /// The fields of a `Preprocess`.
    #[getter]
    fn preprocess(&self) -> Fields {
        self.model.preprocess().into()
    }

    #[getter]
    fn inputs(&self) -> Vec<NamedShape<'_>> {
        let graph = self.model.graph();
        graph.inputs.iter().map(|&input| (graph.value(input).name.as_str(), self.shape(input))).collect()
    }

    #[getter]
    fn outputs(&self) -> Vec<NamedShape<'_>> {
        let outputs = &self.model.graph().outputs;
        outputs.iter().map(|output| (output.name.as_str(), self.shape(output.value))).collect()
    }

    /// Source, input, preprocessing, head, classes, size, passes; for people.
    fn describe(&self) -> String {
        self.model.describe()
    }
}

const HEADS: [Head; 3] = [Head::Softmax, Head::Sigmoid, Head::Identity];

fn head_name(head: Head) -> &'static str {
    match head {
        Head::Softmax => "softmax",
        Head::Sigmoid => "sigmoid",
        Head::Identity => "identity",
    }
}

fn parse_head(py: Python<'_>, name: &str) -> PyResult<Head> {
    HEADS.into_iter().find(|head| head_name(*head) == name).ok_or_else(|| {
        argument(py, format!("head: expected \"softmax\", \"sigmoid\" or \"identity\", found {name:?}"))
    })
}
