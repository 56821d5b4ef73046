//! Constants and the arithmetic on shapes that exporters write for a batch of any size.

use crate::error::Result;
use crate::graph::{Dim, show_shape};
use crate::import::onnx::importer::constant_operand;
use crate::import::onnx::node::{NodeReader, invalid, resolve_axis, unsupported};
use crate::import::onnx::operand::{FloatConstant, Operand};
use crate::import::onnx::symbolic::{Size, Symbolic};
use crate::import::onnx::tensors::{MAX_INTEGERS, is_float, is_integer, type_name};
use crate::tensor::Tensor;

/// Constant: a tensor, numbers, or a number.
pub(super) fn constant(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let attributes = node.attributes;
    let name = node.proto.output.first().map(String::as_str).unwrap_or_default();
    if let Some(tensor) = attributes.tensor("value")? {
        return constant_operand(name, tensor, &mut node.importer.files);
    }
    if let Some(floats) = attributes.floats("value_floats")? {
        return Ok(Operand::Float(node.constant(Tensor::new(&[floats.len()], floats.to_vec())?)));
    }
    if let Some(ints) = attributes.ints("value_ints")? {
        return Ok(Operand::Integers(Symbolic::from_constant(&[ints.len()], ints.to_vec())?));
    }
    if attributes.has("value_float") {
        let value = attributes.float("value_float", 0.0)?;
        return Ok(Operand::Float(node.constant(Tensor::new(&[], vec![value])?)));
    }
    if attributes.has("value_int") {
        let value = attributes.int("value_int", 0)?;
        return Ok(Operand::Integers(Symbolic::scalar(Size::Known(value))));
    }
    Err(invalid("it has no value"))
}

/// ConstantOfShape with few elements.
pub(super) fn constant_of_shape(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let shape = sizes_of(&node.integers(0)?.known()?)?;
    let Some(tensor) = node.attributes.tensor("value")? else {
        return Ok(Operand::Float(node.constant(filled(&shape, 0.0)?)));
    };
    match constant_operand("value", tensor, &mut node.importer.files)? {
        Operand::Float(FloatConstant { tensor, .. }) => match tensor.to_f32()?[..] {
            [value] => Ok(Operand::Float(node.constant(filled(&shape, value)?))),
            _ => Err(invalid("value is not one number")),
        },
        Operand::Integers(Symbolic { items, .. }) => match (items[..].first(), &shape[..]) {
            (Some(&item), &[length]) => Ok(Operand::Integers(Symbolic::list(vec![item; length])?)),
            _ => Err(unsupported(format!("whole numbers of shape {shape:?}"))),
        },
        Operand::Runtime(_) | Operand::Unknown => Err(invalid("value is no constant")),
    }
}

/// Shape: whole numbers, of which the first may be the batch.
pub(super) fn shape(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let shape = match node.input(0)? {
        Operand::Runtime(view) => {
            let border = view.border;
            let bordered = [border.top + border.bottom, border.left + border.right];
            let mut shape = view.shape;
            for (axis, dim) in shape.iter_mut().enumerate().skip(2) {
                if let Dim::Fixed(size) = dim {
                    *size += bordered.get(axis - 2).copied().unwrap_or(0);
                }
            }
            Symbolic::from_shape(&shape)?
        }
        Operand::Float(FloatConstant { tensor, .. }) => {
            let dims: Vec<Dim> = tensor.shape().iter().map(|&size| Dim::Fixed(size)).collect();
            Symbolic::from_shape(&dims)?
        }
        Operand::Integers(numbers) => {
            let length = Size::Known(numbers.items.len() as i64);
            Symbolic::list(if numbers.is_scalar { vec![] } else { vec![length] })?
        }
        Operand::Unknown => return Ok(Operand::Unknown),
    };
    let start = node.attributes.int("start", 0)?;
    let end = node.attributes.int("end", i64::MAX)?;
    Ok(Operand::Integers(shape.slice(start, end)))
}

/// Gather of numbers from a list.
pub(super) fn gather(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let (list, indices) = (node.integers(0)?, node.integers(1)?);
    resolve_axis(node.attributes.int("axis", 0)?, 1)?;
    Ok(Operand::Integers(list.gather(&indices)?))
}

/// Slice of a list, in steps of one. Before operator set 10 the bounds were attributes.
pub(super) fn slice(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let list = node.integers(0)?;
    let mut bounds = |input, name| match node.has_input(input) {
        true => node.integers(input)?.known(),
        false => Ok(node.attributes.ints(name)?.unwrap_or_default().to_vec()),
    };
    let (starts, ends) = (bounds(1, "starts")?, bounds(2, "ends")?);
    node.axes(3, 1)?;
    let steps = if node.has_input(4) { node.integers(4)?.known()? } else { vec![1] };
    match (&starts[..], &ends[..], &steps[..]) {
        (&[start], &[end], [1]) => Ok(Operand::Integers(list.slice(start, end))),
        _ => Err(unsupported(format!("starts {starts:?}, ends {ends:?}, steps {steps:?} of a list"))),
    }
}

/// Concat of lists of numbers.
pub(super) fn concat(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let mut items = Vec::new();
    for index in 0..node.input_count() {
        items.extend(node.integers(index)?.items);
    }
    resolve_axis(node.attributes.int("axis", 0)?, 1)?;
    Ok(Operand::Integers(Symbolic::list(items)?))
}

/// Expand of a constant to a shape that needs no repetition, or of one element to few.
pub(super) fn expand(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let target = sizes_of(&node.integers(1)?.known()?)?;
    match node.input(0)? {
        Operand::Float(FloatConstant { tensor, .. }) => {
            let elements = tensor.to_f32()?;
            match (&elements[..], tensor.shape()) {
                (_, shape) if shape == target => node.input(0),
                (&[value], _) => Ok(Operand::Float(node.constant(filled(&target, value)?))),
                (_, shape) => Err(unsupported(format!("a constant of shape {shape:?} to {target:?}"))),
            }
        }
        Operand::Integers(numbers) => match (&numbers.items[..], &target[..]) {
            (&[item], &[length]) => Ok(Operand::Integers(Symbolic::list(vec![item; length.max(1)])?)),
            (items, &[length]) if length == 1 || length == items.len() => node.input(0),
            _ => Err(unsupported(format!("{} whole numbers to {target:?}", numbers.items.len()))),
        },
        Operand::Runtime(view) => Err(unsupported(format!(
            "{} to {target:?}: only constants are expanded",
            show_shape(&view.shape)
        ))),
        Operand::Unknown => Ok(Operand::Unknown),
    }
}

/// Cast between floating-point types, all of which are `f32` here, or between whole numbers.
pub(super) fn cast(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let to = node.attributes.int("to", 0)?;
    let to = i32::try_from(to).map_err(|_| invalid(format!("to is {to}")))?;
    match node.input(0)? {
        operand @ (Operand::Runtime(_) | Operand::Float(_)) if is_float(to) => Ok(operand),
        operand @ Operand::Integers(_) if is_integer(to) => Ok(operand),
        Operand::Unknown => Ok(Operand::Unknown),
        Operand::Integers(numbers) if is_float(to) => {
            let numbers = numbers.known()?.into_iter().map(|number| number as f32).collect::<Vec<_>>();
            Ok(Operand::Float(node.constant(Tensor::new(&[numbers.len()], numbers)?)))
        }
        _ => Err(unsupported(format!("to {} is not supported", type_name(to)))),
    }
}

/// CastLike of floating-point numbers.
pub(super) fn cast_like(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    match (node.input(0)?, node.input(1)?) {
        (operand @ (Operand::Runtime(_) | Operand::Float(_)), Operand::Runtime(_) | Operand::Float(_)) => {
            Ok(operand)
        }
        (operand @ Operand::Integers(_), Operand::Integers(_)) => Ok(operand),
        (Operand::Unknown, _) | (_, Operand::Unknown) => Ok(Operand::Unknown),
        _ => Err(unsupported("between floats and whole numbers")),
    }
}

/// Sizes of a constant that a node makes.
fn sizes_of(numbers: &[i64]) -> Result<Vec<usize>> {
    numbers
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| invalid(format!("{numbers:?} is no shape"))))
        .collect()
}

/// A constant of one repeated number: the missing scale or shift of a batch norm, for example.
fn filled(shape: &[usize], value: f32) -> Result<Tensor> {
    match crate::tensor::element_count(shape) {
        Some(count) if count <= MAX_INTEGERS * 16 => Tensor::new(shape, vec![value; count]),
        _ => Err(unsupported(format!("a constant of shape {shape:?} made by a node"))),
    }
}
