//! Tensors from objects with the buffer protocol, and tensors as numpy arrays. numpy is imported when
//! the first array is made; nothing here is compiled against it.

use crate::error::{argument, exception};
use bytes::Bytes;
use libvision::{DType, Error, ErrorKind, Tensor};
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyDict, PyMemoryView, PyTuple};

/// An array in a caller's memory, whatever its strides.
pub(crate) struct ArrayView<'py> {
    memory: Bound<'py, PyMemoryView>,
    buffer: PyUntypedBuffer,
}

impl<'py> ArrayView<'py> {
    /// A view of `object`, or of the numpy array that it turns itself into (as a torch tensor does);
    /// `None` if it is no array.
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let exporter = if let Ok(buffer) = PyUntypedBuffer::get(object) {
            return Ok(Some(Self { memory: PyMemoryView::from(object)?, buffer }));
        } else if object.hasattr("__array__")? {
            object.py().import("numpy")?.call_method1("asarray", (object,))?
        } else {
            return Ok(None);
        };
        let Ok(buffer) = PyUntypedBuffer::get(&exporter) else { return Ok(None) };
        Ok(Some(Self { memory: PyMemoryView::from(&exporter)?, buffer }))
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    /// Whether the elements are bytes without a sign.
    pub(crate) fn is_u8(&self) -> bool {
        matches!(self.element(), ElementType::UnsignedInteger { bytes: 1 })
    }

    /// Element type and shape, in numpy's words.
    pub(crate) fn describe(&self) -> String {
        let (kind, bytes) = match self.element() {
            ElementType::Bool => ("bool", None),
            ElementType::SignedInteger { bytes } => ("int", Some(bytes)),
            ElementType::UnsignedInteger { bytes } => ("uint", Some(bytes)),
            ElementType::Float { bytes } => ("float", Some(bytes)),
            ElementType::Unknown => {
                let format = self.buffer.format().to_string_lossy();
                return format!("elements of format {format:?} and shape {:?}", self.shape());
            }
        };
        let bits = bytes.map_or(String::new(), |bytes| (8 * bytes).to_string());
        format!("{kind}{bits} of shape {:?}", self.shape())
    }

    /// A copy of the elements in row-major order. The caller may go on to change the array.
    pub(crate) fn copy(&self) -> PyResult<Bytes> {
        let copy: PyBackedBytes = self.memory.call_method0("tobytes")?.extract()?;
        Ok(Bytes::from_owner(copy))
    }

    /// The element type; unknown where the bytes are in the other order than this machine's.
    fn element(&self) -> ElementType {
        let format = self.buffer.format();
        let foreign: &[u8] = if cfg!(target_endian = "little") { b">!" } else { b"<" };
        match format.to_bytes() {
            [order, _] if foreign.contains(order) => ElementType::Unknown,
            _ => ElementType::from_format(format),
        }
    }

    fn dtype(&self) -> Option<DType> {
        match self.element() {
            ElementType::Float { bytes: 4 } => Some(DType::F32),
            ElementType::Float { bytes: 2 } => Some(DType::F16),
            ElementType::SignedInteger { bytes: 1 } => Some(DType::I8),
            ElementType::UnsignedInteger { bytes: 1 } => Some(DType::U8),
            ElementType::SignedInteger { bytes: 4 } => Some(DType::I32),
            ElementType::SignedInteger { bytes: 8 } => Some(DType::I64),
            _ => None,
        }
    }
}

/// A copy of the array `object`, for the input `name`.
pub(crate) fn tensor(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = object.py();
    let Some(view) = ArrayView::of(object)? else {
        let found = object.get_type().name()?;
        return Err(argument(py, format!("input {name:?}: expected an array, found {found}")));
    };
    let Some(dtype) = view.dtype() else {
        let message = format!(
            "input {name:?}: no model takes {}; convert the elements, array.astype(\"float32\") for example",
            view.describe()
        );
        return Err(exception(py, &Error::new(ErrorKind::DTypeMismatch, message)));
    };
    Tensor::from_bytes(dtype, view.shape(), view.copy()?).map_err(|error| exception(py, &error))
}

/// `tensor` as a numpy array that owns its memory and can be written to. bfloat16, which numpy does not
/// have, becomes float32.
pub(crate) fn ndarray<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let name = match tensor.dtype() {
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::I8 => "i1",
        DType::U8 => "u1",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        _ => {
            let widened =
                tensor.to_f32().and_then(|elements| Tensor::new(tensor.shape(), elements.into_owned()));
            return ndarray(py, &widened.map_err(|error| exception(py, &error))?);
        }
    };
    let arguments = PyDict::new(py);
    arguments.set_item("buffer", PyByteArray::new(py, tensor.bytes()))?;
    let class = NDARRAY.import(py, "numpy", "ndarray").inspect_err(|error| {
        let note = "arrays need numpy: pip install libvision[numpy]";
        // Without the note the error still says that numpy is missing.
        let _ = error.value(py).call_method1("add_note", (note,));
    })?;
    class.call((PyTuple::new(py, tensor.shape())?, name), Some(&arguments))
}
