//! The answer to one request, as plain Python objects.

use crate::array::ndarray;
use libvision::Timing;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The answer to one request.
#[pyclass(frozen)]
pub(crate) struct Response(pub(crate) libvision::Response);

#[pymethods]
impl Response {
    /// Label, score and class index of each prediction, best first.
    #[getter]
    fn predictions(&self) -> Vec<(&str, f32, usize)> {
        self.0.predictions.iter().map(|p| (p.label.as_str(), p.score, p.class_index)).collect()
    }

    /// Every output as a numpy array, under its name, with its batch axis.
    #[pyo3(signature = () -> "dict[str, Any]")]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let outputs = PyDict::new(py);
        for (name, tensor) in &self.0.outputs {
            outputs.set_item(name, ndarray(py, tensor)?)?;
        }
        Ok(outputs)
    }

    /// How many images ran in the same batch.
    #[getter]
    fn batch_size(&self) -> usize {
        self.0.batch_size
    }

    /// As the request had it.
    #[getter]
    fn traceparent(&self) -> Option<String> {
        self.0.trace_context.map(|context| context.to_string())
    }

    /// Seconds spent in each stage, and in all.
    #[getter]
    fn timing(&self) -> Seconds {
        let Timing { queue, decode, preprocess, batch_wait, compute, postprocess, total } = self.0.timing;
        Seconds {
            queue: queue.as_secs_f64(),
            decode: decode.as_secs_f64(),
            preprocess: preprocess.as_secs_f64(),
            batch_wait: batch_wait.as_secs_f64(),
            compute: compute.as_secs_f64(),
            postprocess: postprocess.as_secs_f64(),
            total: total.as_secs_f64(),
        }
    }
}

/// A [`Timing`] in seconds, as a dictionary.
#[derive(IntoPyObject)]
struct Seconds {
    queue: f64,
    decode: f64,
    preprocess: f64,
    batch_wait: f64,
    compute: f64,
    postprocess: f64,
    total: f64,
}
