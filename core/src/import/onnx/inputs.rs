//! The inputs that a file declares.

use super::messages::{ValueInfoProto, tensor_shape_proto::dimension, type_proto};
use super::node::{invalid, unsupported};
use super::tensors;
use crate::error::Result;
use crate::graph::Dim;

/// The shape of an input and the batch that the file fixes, if it does.
pub(super) fn input_shape(
    input: &ValueInfoProto,
    input_size: Option<[usize; 2]>,
) -> Result<(Vec<Dim>, Option<usize>)> {
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(unsupported("expected a tensor"));
    };
    if !tensors::is_float(tensor.elem_type()) {
        let found = tensors::type_name(tensor.elem_type());
        return Err(unsupported(format!("expected elements of a floating-point type, found {found}")));
    }
    let dims = &tensor.shape.as_ref().ok_or_else(|| invalid("it has no shape"))?.dim;
    let mut shape = Vec::with_capacity(dims.len());
    let mut limit = None;
    for (axis, dim) in dims.iter().enumerate() {
        let open = match &dim.value {
            Some(dimension::Value::DimValue(size)) => match usize::try_from(*size) {
                Ok(size) if size > 0 => {
                    if axis == 0 {
                        limit = Some(size);
                        shape.push(Dim::Batch);
                    } else {
                        shape.push(Dim::Fixed(size));
                    }
                    continue;
                }
                _ => return Err(invalid(format!("axis {axis} has size {size}"))),
            },
            Some(dimension::Value::DimParam(name)) => format!("{name:?}"),
            None => "nothing".into(),
        };
        match (axis, input_size) {
            (0, _) => shape.push(Dim::Batch),
            (2 | 3, Some(size)) if dims.len() == 4 => shape.push(Dim::Fixed(size[axis - 2])),
            _ => {
                return Err(unsupported(format!(
                    "axis {axis} has no fixed size (the file says {open}); only the first axis, the batch, \
                     may vary: export with a fixed height and width (leave them out of dynamic_axes or \
                     dynamic_shapes), or put the size into a config.json beside the model"
                )));
            }
        }
    }
    match shape.is_empty() {
        true => Err(unsupported("expected at least one axis, the batch, found a scalar")),
        false => Ok((shape, limit)),
    }
}
