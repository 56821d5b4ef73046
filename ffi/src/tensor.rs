//! Tensors on their way in and out.

use crate::boundary::{array, c_string, invalid, text};
use bytes::Bytes;
use libvision::{DType, Error, ErrorKind, Result, Tensor};
use std::ffi::{CString, c_char, c_void};

/// Type of a tensor's elements. A number of `enum vision_dtype`.
pub type vision_dtype_t = u32;

/// Type of a tensor's elements.
#[repr(C)]
pub enum vision_dtype {
    /// IEEE 754 single precision.
    VISION_DTYPE_F32 = 1,
    /// IEEE 754 half precision.
    VISION_DTYPE_F16 = 2,
    /// bfloat16.
    VISION_DTYPE_BF16 = 3,
    /// Signed byte.
    VISION_DTYPE_I8 = 4,
    /// Unsigned byte.
    VISION_DTYPE_U8 = 5,
    /// 32-bit signed integer.
    VISION_DTYPE_I32 = 6,
    /// 64-bit signed integer.
    VISION_DTYPE_I64 = 7,
}

const DTYPES: [(u32, DType); 7] = [
    (vision_dtype::VISION_DTYPE_F32 as u32, DType::F32),
    (vision_dtype::VISION_DTYPE_F16 as u32, DType::F16),
    (vision_dtype::VISION_DTYPE_BF16 as u32, DType::BF16),
    (vision_dtype::VISION_DTYPE_I8 as u32, DType::I8),
    (vision_dtype::VISION_DTYPE_U8 as u32, DType::U8),
    (vision_dtype::VISION_DTYPE_I32 as u32, DType::I32),
    (vision_dtype::VISION_DTYPE_I64 as u32, DType::I64),
];

/// A named tensor: row-major elements in the byte order of the machine. This struct never grows. As an
/// input it is the caller's and is copied; as an output it belongs to the result it came from.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_tensor_t {
    /// Name of the model's input or output.
    pub name: *const c_char,
    /// Sizes of the axes, outermost first.
    pub shape: *const u64,
    /// The elements; as an output aligned for their type.
    pub data: *const c_void,
    /// Length of `data` in bytes.
    pub data_size: usize,
    /// Type of the elements.
    pub dtype: vision_dtype_t,
    /// Number of axes, the length of `shape`.
    pub rank: u32,
}

/// Copies of the `count` tensors from `pointer` on.
///
/// # Safety
///
/// `pointer` is NULL, or readable for `count` tensors whose pointers are valid.
pub(crate) unsafe fn inputs(
    pointer: *const vision_tensor_t,
    count: usize,
    name: &str,
) -> Result<Vec<(String, Tensor)>> {
    // SAFETY: the caller's promise.
    let given = unsafe { array(pointer, count, name)? };
    // SAFETY: as above.
    given.iter().enumerate().map(|(i, tensor)| unsafe { input(tensor, &format!("{name}[{i}]")) }).collect()
}

unsafe fn input(given: &vision_tensor_t, name: &str) -> Result<(String, Tensor)> {
    // SAFETY: the caller of `inputs` promises valid pointers.
    let (input_name, shape, data) = unsafe {
        (
            text(given.name, &format!("{name}.name"))?,
            array(given.shape, given.rank as usize, &format!("{name}.shape"))?,
            array(given.data.cast::<u8>(), given.data_size, &format!("{name}.data"))?,
        )
    };
    let dtype = DTYPES.iter().find(|(number, _)| *number == given.dtype).map(|&(_, dtype)| dtype);
    let dtype = dtype
        .ok_or_else(|| invalid(format!("{name}.dtype is {}; expected a VISION_DTYPE_...", given.dtype)))?;
    let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
    let tensor = Tensor::from_bytes(dtype, &shape, Bytes::copy_from_slice(data))
        .map_err(|error| error.context(format!("{name} ({input_name})")))?;
    Ok((input_name.to_owned(), tensor))
}

/// A tensor that C reads in place.
pub(crate) struct OutputTensor {
    name: CString,
    shape: Vec<u64>,
    dtype: vision_dtype_t,
    tensor: Tensor,
}

impl OutputTensor {
    pub(crate) fn new(name: &str, tensor: &Tensor) -> Result<Self> {
        let dtype = DTYPES.iter().find(|(_, dtype)| *dtype == tensor.dtype());
        let dtype = dtype.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("output {name}: the C ABI has no {}", tensor.dtype()))
        })?;
        let shape = tensor.shape().iter().map(|&size| size as u64).collect();
        Ok(Self { name: c_string(name), shape, dtype: dtype.0, tensor: aligned(tensor)? })
    }

    /// Pointers into this, with the elements' number of bytes.
    pub(crate) fn view(&self) -> vision_tensor_t {
        let bytes = self.tensor.bytes();
        vision_tensor_t {
            name: self.name.as_ptr(),
            shape: self.shape.as_ptr(),
            data: bytes.as_ptr().cast(),
            data_size: bytes.len(),
            dtype: self.dtype,
            rank: self.shape.len() as u32,
        }
    }
}

/// The same tensor with bytes that C can read as elements in place.
fn aligned(tensor: &Tensor) -> Result<Tensor> {
    let bytes = tensor.bytes();
    if bytes.as_ptr().addr().is_multiple_of(tensor.dtype().size()) {
        return Ok(tensor.clone());
    }
    let mut words = vec![0u64; bytes.len().div_ceil(size_of::<u64>())];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    let copy = Bytes::from_owner(Words(words)).slice(..bytes.len());
    Tensor::from_bytes(tensor.dtype(), tensor.shape(), copy)
}

/// Bytes that are aligned for every element type.
struct Words(Vec<u64>);

impl AsRef<[u8]> for Words {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(shape: &'a [u64], data: &'a [f32]) -> vision_tensor_t {
        vision_tensor_t {
            name: c"input".as_ptr(),
            shape: shape.as_ptr(),
            data: data.as_ptr().cast(),
            data_size: size_of_val(data),
            dtype: 1,
            rank: shape.len() as u32,
        }
    }

    fn message(tensor: vision_tensor_t) -> String {
        // SAFETY: the struct and what it points at live through the call.
        unsafe { inputs(&tensor, 1, "inputs") }.unwrap_err().message().to_owned()
    }

    #[test]
    fn tensors_come_in_and_go_out_as_they_are() {
        let (shape, data) = ([2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // SAFETY: as above.
        let read = unsafe { inputs(&given(&shape, &data), 1, "inputs") }.unwrap();
        assert_eq!(read[0].0, "input");
        assert_eq!(read[0].1, Tensor::new(&[2, 3], data.to_vec()).unwrap());
        for (number, dtype) in DTYPES {
            let tensor = Tensor::from_bytes(dtype, &[0, 4], Bytes::new()).unwrap();
            let output = OutputTensor::new("logits", &tensor).unwrap();
            assert_eq!((output.view().dtype, output.view().rank, output.view().data_size), (number, 2, 0));
        }
    }

    #[test]
    fn elements_are_aligned_on_the_way_out() {
        let bytes = Bytes::from_owner(Words(vec![0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908])).slice(1..13);
        let tensor = Tensor::from_bytes(DType::F32, &[3], bytes.clone()).unwrap();
        let output = OutputTensor::new("logits", &tensor).unwrap();
        assert_eq!(output.view().data.addr() % 4, 0);
        assert_eq!(output.tensor.bytes(), &bytes);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (shape, data) = ([2, 3], [0.0; 6]);
        let good = given(&shape, &data);
        assert!(message(vision_tensor_t { dtype: 0, ..good }).starts_with("inputs[0].dtype is 0"));
        assert_eq!(message(vision_tensor_t { name: std::ptr::null(), ..good }), "inputs[0].name is NULL");
        assert_eq!(message(vision_tensor_t { data: std::ptr::null(), ..good }), "inputs[0].data is NULL");
        assert_eq!(message(vision_tensor_t { shape: std::ptr::null(), ..good }), "inputs[0].shape is NULL");
        assert!(
            message(vision_tensor_t { data_size: 20, ..good }).starts_with("inputs[0] (input): a f32 tensor")
        );
    }
}
