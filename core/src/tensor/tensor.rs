//! A tensor: element type, shape and row-major bytes, shared and never changed after it was made.

use super::DType;
use crate::error::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use half::{bf16, f16};
use std::borrow::Cow;
use std::sync::Arc;

/// Row-major elements with a type and a shape. Cloning shares them.
///
/// The bytes may lie in a memory-mapped file, at any alignment.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Arc<[usize]>,
    bytes: Bytes,
}

/// Rust types that are elements of tensors.
pub trait Element: bytemuck::Pod + Send + Sync {
    /// The type's name among [`DType`]s.
    const DTYPE: DType;
}

macro_rules! element {
    ($($type:ty = $dtype:ident),*) => {
        $(impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}
element!(f32 = F32, f16 = F16, bf16 = BF16, i8 = I8, u8 = U8, i32 = I32, i64 = I64);

struct Owned<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Tensor {
    /// A tensor that owns `elements`; their number must be the product of `shape`.
    pub fn new<T: Element>(shape: &[usize], elements: Vec<T>) -> Result<Self> {
        Self::from_bytes(T::DTYPE, shape, Bytes::from_owner(Owned(elements)))
    }

    /// A tensor over bytes that exist already, a part of a mapped file for example.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Self> {
        Self::from_parts(dtype, shape.into(), bytes)
    }

    fn from_parts(dtype: DType, shape: Arc<[usize]>, bytes: Bytes) -> Result<Self> {
        let need = element_count(&shape).and_then(|n| n.checked_mul(dtype.size()));
        if need != Some(bytes.len()) {
            return Err(Error::new(
                ErrorKind::ShapeMismatch,
                format!(
                    "a {dtype} tensor of shape {shape:?} needs {need:?} bytes, and {} were given",
                    bytes.len()
                ),
            ));
        }
        Ok(Self { dtype, shape, bytes })
    }

    /// Becomes a tensor of this shape and these elements, in the memory that it has, if nobody shares that and it is
    /// as large.
    pub(crate) fn overwrite<T: Element>(&mut self, shape: &[usize], elements: &[T]) -> Result<()> {
        let elements: &[u8] = bytemuck::cast_slice(elements);
        let mut bytes = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(bytes) if bytes.len() == elements.len() => bytes,
            _ => BytesMut::zeroed(elements.len()),
        };
        bytes.copy_from_slice(elements);
        let shape = if *self.shape == *shape { Arc::clone(&self.shape) } else { shape.into() };
        *self = Self::from_parts(T::DTYPE, shape, bytes.freeze())?;
        Ok(())
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether an axis has size 0.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, row-major, little-endian.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The elements, copied only if the bytes are not aligned for `T`. Fails for another type.
    pub fn elements<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        if self.dtype != T::DTYPE {
            return Err(Error::new(
                ErrorKind::DTypeMismatch,
                format!("expected a tensor of {}, found {}", T::DTYPE, self.dtype),
            ));
        }
        Ok(match bytemuck::try_cast_slice(&self.bytes) {
            Ok(slice) => Cow::Borrowed(slice),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(&self.bytes)),
        })
    }

    /// The elements as `f32`, widened from `f16` and `bf16`. Fails for integers.
    pub fn to_f32(&self) -> Result<Cow<'_, [f32]>> {
        match self.dtype {
            DType::F16 => Ok(Cow::Owned(self.elements::<f16>()?.iter().map(|x| x.to_f32()).collect())),
            DType::BF16 => Ok(Cow::Owned(self.elements::<bf16>()?.iter().map(|x| x.to_f32()).collect())),
            _ => self.elements::<f32>(),
        }
    }
}

impl Default for Tensor {
    /// No elements, on one axis.
    fn default() -> Self {
        Self { dtype: DType::F32, shape: [0].into(), bytes: Bytes::new() }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// Product of the sizes, or `None` if it does not fit.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))
}
