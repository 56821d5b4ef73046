//! Constants of an ONNX file as tensors: `f32` for weights, whole numbers for shapes.

use super::external::ExternalFiles;
use super::messages::{
    TensorProto,
    tensor_proto::{DataLocation, DataType},
};
use super::wire::varint;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{DType, Tensor};
use bytes::Bytes;
use half::{bf16, f16};

/// Whole numbers that one constant may hold: shapes and axes are short.
pub(super) const MAX_INTEGERS: usize = 4096;

/// Whether the elements are floating-point numbers that can become `f32`.
pub(super) fn is_float(data_type: i32) -> bool {
    use DataType as D;
    matches!(D::try_from(data_type), Ok(D::Float | D::Float16 | D::Bfloat16 | D::Double))
}

/// Whether the elements are whole numbers or truth values that can become `i64`.
pub(super) fn is_integer(data_type: i32) -> bool {
    use DataType as D;
    matches!(
        D::try_from(data_type),
        Ok(D::Int64 | D::Int32 | D::Int16 | D::Int8 | D::Uint8 | D::Uint16 | D::Uint32 | D::Bool)
    )
}

/// The type's name in `onnx.proto`, or its number.
pub(super) fn type_name(data_type: i32) -> String {
    DataType::try_from(data_type).map_or_else(|_| data_type.to_string(), |known| known.as_str_name().into())
}

/// A tensor's sizes and their product.
pub(super) fn sizes(tensor: &TensorProto) -> Result<(Vec<usize>, usize)> {
    let sizes: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let count = sizes.as_deref().and_then(crate::tensor::element_count);
    match (sizes, count) {
        (Some(sizes), Some(count)) => Ok((sizes, count)),
        _ => Err(corrupt(tensor, format!("{:?} are no sizes of axes", tensor.dims))),
    }
}

/// The elements as `f32`: shared with the file if they are `f32` there, widened or narrowed if they are
/// `f16`, `bf16` or `f64`.
pub(super) fn float_tensor(tensor: &TensorProto, files: &mut ExternalFiles) -> Result<Tensor> {
    let (sizes, count) = sizes(tensor)?;
    let data_type = tensor.data_type();
    let packed = match DataType::try_from(data_type) {
        Ok(DataType::Float) => {
            let bytes = raw(tensor, &tensor.float_data, count, 4, files)?;
            return Tensor::from_bytes(DType::F32, &sizes, bytes)
                .map_err(|error| error.context(name(tensor)));
        }
        Ok(DataType::Double) => {
            let bytes = raw(tensor, &tensor.double_data, count, 8, files)?;
            let narrow = |chunk: &[u8; 8]| f64::from_le_bytes(*chunk) as f32;
            return Tensor::new(&sizes, bytes.as_chunks().0.iter().map(narrow).collect());
        }
        Ok(kind @ (DataType::Float16 | DataType::Bfloat16)) => kind,
        _ => {
            return Err(unsupported(tensor, format!("expected floats, found {}", type_name(data_type))));
        }
    };
    let widen = |bits: u16| match packed {
        DataType::Float16 => f16::from_bits(bits).to_f32(),
        _ => bf16::from_bits(bits).to_f32(),
    };
    let elements: Vec<f32> = match tensor.int32_data.is_empty() {
        true => {
            let bytes = raw(tensor, &[], count, 2, files)?;
            bytes.as_chunks().0.iter().map(|chunk| widen(u16::from_le_bytes(*chunk))).collect()
        }
        // The bits of each half in the low 16 of an int32, as onnx.proto says.
        false => {
            varints(tensor, &tensor.int32_data, count)?.into_iter().map(|bits| widen(bits as u16)).collect()
        }
    };
    Tensor::new(&sizes, elements).map_err(|error| error.context(name(tensor)))
}

/// Sizes and elements of a short tensor of whole numbers or truth values.
pub(super) fn integers(tensor: &TensorProto, files: &mut ExternalFiles) -> Result<(Vec<usize>, Vec<i64>)> {
    use DataType as D;
    let (sizes, count) = sizes(tensor)?;
    if count > MAX_INTEGERS {
        return Err(unsupported(
            tensor,
            format!("{count} whole numbers are over the limit of {MAX_INTEGERS}"),
        ));
    }
    let data_type = tensor.data_type();
    let width = match D::try_from(data_type) {
        Ok(D::Int64) => 8,
        Ok(D::Int32 | D::Uint32) => 4,
        Ok(D::Int16 | D::Uint16) => 2,
        Ok(D::Int8 | D::Uint8 | D::Bool) => 1,
        _ => {
            let found = type_name(data_type);
            return Err(unsupported(tensor, format!("expected whole numbers, found {found}")));
        }
    };
    let fields = if width == 8 { &tensor.int64_data } else { &tensor.int32_data };
    if !fields.is_empty() {
        return Ok((sizes, varints(tensor, fields, count)?));
    }
    let signed = matches!(D::try_from(data_type), Ok(D::Int64 | D::Int32 | D::Int16 | D::Int8));
    let bytes = raw(tensor, &[], count, width, files)?;
    let element = |chunk: &[u8]| {
        let negative = signed && chunk.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..width].copy_from_slice(chunk);
        i64::from_le_bytes(wide)
    };
    Ok((sizes, bytes.chunks_exact(width).map(element).collect()))
}

/// The bytes of `count` elements of `width` bytes: raw, external, or of a packed field of that width.
fn raw(
    tensor: &TensorProto,
    packed: &[Bytes],
    count: usize,
    width: usize,
    files: &mut ExternalFiles,
) -> Result<Bytes> {
    let external = tensor.data_location == Some(DataLocation::External as i32);
    let bytes = if external {
        files.read(&tensor.external_data).map_err(|error| error.context(name(tensor)))?
    } else if let Some(bytes) = &tensor.raw_data {
        bytes.clone()
    } else {
        match packed {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    };
    match count.checked_mul(width) {
        Some(need) if need == bytes.len() => Ok(bytes),
        need => Err(corrupt(
            tensor,
            format!(
                "sizes {:?} of {} need {} bytes, found {}",
                tensor.dims,
                type_name(tensor.data_type()),
                need.map_or("too many".into(), |need| need.to_string()),
                bytes.len()
            ),
        )),
    }
}

/// `count` packed numbers.
fn varints(tensor: &TensorProto, fields: &[Bytes], count: usize) -> Result<Vec<i64>> {
    // Each number takes a byte at least.
    let available: usize = fields.iter().map(Bytes::len).sum();
    let mut numbers = Vec::with_capacity(count.min(available));
    for field in fields {
        let mut rest = &field[..];
        while !rest.is_empty() {
            if numbers.len() == count {
                return Err(corrupt(tensor, format!("more than {count} elements")));
            }
            numbers.push(varint(&mut rest).map_err(|error| error.context(name(tensor)))? as i64);
        }
    }
    match numbers.len() == count {
        true => Ok(numbers),
        false => Err(corrupt(tensor, format!("expected {count} elements, found {}", numbers.len()))),
    }
}

fn name(tensor: &TensorProto) -> String {
    format!("tensor {:?}", tensor.name())
}

fn corrupt(tensor: &TensorProto, message: String) -> Error {
    Error::new(ErrorKind::ModelCorrupt, message).context(name(tensor))
}

fn unsupported(tensor: &TensorProto, message: String) -> Error {
    Error::new(ErrorKind::OperatorUnsupported, message).context(name(tensor))
}
