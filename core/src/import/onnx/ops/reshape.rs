//! Operators that show the same elements with other axes, and Pad, which waits for its convolution.

use crate::error::Result;
use crate::graph::{Dim, show_shape};
use crate::import::onnx::node::{NodeReader, invalid, is_bordered, resolve_axis, unsupported};
use crate::import::onnx::operand::{FloatConstant, Operand, View};
use crate::import::onnx::symbolic::{Size, Symbolic};
use crate::tensor::Tensor;
use libvision_kernels::geometry::Padding;

/// Reshape. For a picture's features, the first axis must stay the batch.
pub(super) fn reshape(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let zero_is_size = node.attributes.flag("allowzero", false)?;
    let target = node.integers(1)?;
    match node.input(0)? {
        Operand::Runtime(view) => {
            let limit = node.importer.batch_limit();
            let shape = reshaped(&view.shape, &target.items, zero_is_size, limit)?;
            seen_as(view, shape)
        }
        Operand::Float(FloatConstant { name, tensor }) => {
            let shape: Vec<Dim> = tensor.shape().iter().map(|&size| Dim::Fixed(size)).collect();
            let shape = fixed(&reshaped(&shape, &target.items, zero_is_size, None)?)?;
            let tensor = Tensor::from_bytes(tensor.dtype(), &shape, tensor.bytes().clone())?;
            Ok(Operand::Float(FloatConstant { name: format!("{name} {shape:?}"), tensor }))
        }
        Operand::Integers(numbers) => match &target.items[..] {
            [] => as_scalar(numbers),
            [_] => Ok(Operand::Integers(Symbolic::list(numbers.items)?)),
            _ => Err(unsupported("whole numbers with more than one axis")),
        },
        Operand::Unknown => Ok(Operand::Unknown),
    }
}

/// Flatten into two axes, of which the first must stay the batch.
pub(super) fn flatten(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let view = node.view(0)?;
    let rank = view.shape.len();
    let axis = match node.attributes.int("axis", 1)? {
        axis if axis == rank as i64 => rank,
        axis => resolve_axis(axis, rank)?,
    };
    let [Dim::Batch, rest @ ..] = &view.shape[..] else {
        return Err(unsupported(format!("{} does not begin with the batch", show_shape(&view.shape))));
    };
    let before = &rest[..axis.saturating_sub(1)];
    if axis == 0 || before.iter().any(|dim| *dim != Dim::Fixed(1)) {
        return Err(unsupported(format!(
            "axis {axis} of {}: only [N, product of the rest] is supported",
            show_shape(&view.shape)
        )));
    }
    let shape = vec![Dim::Batch, Dim::Fixed(product(rest)?)];
    seen_as(view, shape)
}

/// Squeeze of axes of size 1.
pub(super) fn squeeze(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    match node.input(0)? {
        Operand::Runtime(view) => {
            let axes = node.axes(1, view.shape.len())?.ok_or_else(|| {
                unsupported("without axes it would drop the batch of a single picture: name the axes")
            })?;
            let shape = squeezed(&view.shape, &axes)?;
            seen_as(view, shape)
        }
        Operand::Float(FloatConstant { name, tensor }) => {
            let dims: Vec<Dim> = tensor.shape().iter().map(|&size| Dim::Fixed(size)).collect();
            let ones = (0..dims.len()).filter(|&axis| dims[axis] == Dim::Fixed(1)).collect();
            let axes = node.axes(1, dims.len())?.unwrap_or(ones);
            let shape = fixed(&squeezed(&dims, &axes)?)?;
            let tensor = Tensor::from_bytes(tensor.dtype(), &shape, tensor.bytes().clone())?;
            Ok(Operand::Float(FloatConstant { name: format!("{name} {shape:?}"), tensor }))
        }
        Operand::Integers(numbers) => {
            node.axes(1, 1)?;
            as_scalar(numbers)
        }
        Operand::Unknown => Ok(Operand::Unknown),
    }
}

/// Unsqueeze: new axes of size 1.
pub(super) fn unsqueeze(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let input = node.input(0)?;
    let rank = match &input {
        Operand::Runtime(view) => view.shape.len(),
        Operand::Float(constant) => constant.tensor.shape().len(),
        Operand::Integers(numbers) => usize::from(!numbers.is_scalar),
        Operand::Unknown => return Ok(Operand::Unknown),
    };
    let count = match node.has_input(1) {
        true => node.integers(1)?.items.len(),
        false => node.attributes.ints("axes")?.map_or(0, <[i64]>::len),
    };
    let axes = node.axes(1, rank + count)?.ok_or_else(|| invalid("axes are missing"))?;
    let widen = |dims: &[Dim]| {
        let mut shape = dims.to_vec();
        axes.iter().for_each(|&axis| shape.insert(axis, Dim::Fixed(1)));
        shape
    };
    match input {
        Operand::Runtime(view) => {
            let shape = widen(&view.shape);
            seen_as(view, shape)
        }
        Operand::Float(FloatConstant { name, tensor }) => {
            let dims: Vec<Dim> = tensor.shape().iter().map(|&size| Dim::Fixed(size)).collect();
            let shape = fixed(&widen(&dims))?;
            let tensor = Tensor::from_bytes(tensor.dtype(), &shape, tensor.bytes().clone())?;
            Ok(Operand::Float(FloatConstant { name: format!("{name} {shape:?}"), tensor }))
        }
        Operand::Integers(numbers) if rank == 0 && axes == [0] => {
            Ok(Operand::Integers(Symbolic::list(numbers.items)?))
        }
        Operand::Integers(_) => Err(unsupported("whole numbers with more than one axis")),
        Operand::Unknown => Ok(Operand::Unknown),
    }
}

/// Pad with zeros around the two spatial axes, kept for the Conv that reads it.
pub(super) fn pad(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    match node.attributes.text("mode", "constant")? {
        "constant" => {}
        mode => return Err(unsupported(format!("mode {mode:?}: only \"constant\" is supported"))),
    }
    let value = node.float_scalar(2)?.map_or_else(|| node.attributes.float("value", 0.0), Ok)?;
    if value != 0.0 {
        return Err(unsupported(format!("a border of {value}: only zeros are supported")));
    }
    let mut view = node.view(0)?;
    let rank = view.shape.len();
    let listed = match node.has_input(1) {
        true => node.integers(1)?.known()?,
        false => node.attributes.ints("pads")?.unwrap_or_default().to_vec(),
    };
    let axes: Vec<usize> = match node.has_input(3) {
        true => {
            let axes = node.integers(3)?.known()?;
            axes.into_iter().map(|axis| resolve_axis(axis, rank)).collect::<Result<_>>()?
        }
        false => (0..rank).collect(),
    };
    if listed.len() != 2 * axes.len() {
        return Err(invalid(format!("{} pads for {} axes", listed.len(), axes.len())));
    }
    let mut border = [[0usize; 2]; 4];
    for (position, &axis) in axes.iter().enumerate() {
        for (side, pixels) in [listed[position], listed[position + axes.len()]].into_iter().enumerate() {
            match (axis, pixels) {
                (_, 0) => {}
                (2 | 3, 1..=0xff_ffff) if rank == 4 => border[axis][side] += pixels as usize,
                _ => {
                    return Err(unsupported(format!(
                        "{pixels} elements on axis {axis}: only borders of the two spatial axes are supported"
                    )));
                }
            }
        }
    }
    view.border = Padding {
        top: view.border.top + border[2][0],
        left: view.border.left + border[3][0],
        bottom: view.border.bottom + border[2][1],
        right: view.border.right + border[3][1],
    };
    Ok(Operand::Runtime(view))
}

fn seen_as(view: View, shape: Vec<Dim>) -> Result<Operand> {
    match is_bordered(view.border) {
        true => Err(unsupported("it reads the result of a Pad, which only Conv may do")),
        false => Ok(Operand::Runtime(View { shape, ..view })),
    }
}

fn squeezed(dims: &[Dim], axes: &[usize]) -> Result<Vec<Dim>> {
    if let Some(&axis) = axes.iter().find(|&&axis| dims[axis] != Dim::Fixed(1)) {
        return Err(unsupported(format!("axis {axis} of {} is not of size 1", show_shape(dims))));
    }
    Ok((0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]).collect())
}

fn as_scalar(numbers: Symbolic) -> Result<Operand> {
    match numbers.items[..] {
        [item] => Ok(Operand::Integers(Symbolic::scalar(item))),
        _ => Err(invalid(format!("a list of {} numbers is no scalar", numbers.items.len()))),
    }
}

fn fixed(dims: &[Dim]) -> Result<Vec<usize>> {
    dims.iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => Ok(*size),
            Dim::Batch => Err(unsupported("a constant whose shape depends on the batch")),
        })
        .collect()
}

fn product(dims: &[Dim]) -> Result<usize> {
    fixed(dims)?
        .into_iter()
        .try_fold(1usize, usize::checked_mul)
        .ok_or_else(|| invalid(format!("{} has too many elements", show_shape(dims))))
}

/// The shape that Reshape's `target` asks for. `limit` is the batch that the file fixes: exporters write it
/// as a number.
fn reshaped(source: &[Dim], target: &[Size], zero_is_size: bool, limit: Option<usize>) -> Result<Vec<Dim>> {
    let rest = source.strip_prefix(&[Dim::Batch]);
    let mut open = None;
    let mut shape = Vec::with_capacity(target.len());
    for (axis, &size) in target.iter().enumerate() {
        shape.push(match size {
            Size::Batch => Dim::Batch,
            Size::Known(0) if !zero_is_size => *source.get(axis).ok_or_else(|| {
                invalid(format!("0 copies axis {axis}, which {} lacks", show_shape(source)))
            })?,
            Size::Known(-1) if open.replace(axis).is_some() => {
                return Err(invalid("more than one size is -1"));
            }
            Size::Known(-1) => Dim::Fixed(1),
            Size::Known(size) => match usize::try_from(size) {
                Ok(size) if axis == 0 && rest.is_some() && limit == Some(size) => Dim::Batch,
                Ok(size) => Dim::Fixed(size),
                Err(_) => return Err(invalid(format!("a size of {size}"))),
            },
        });
    }
    let total = product(rest.unwrap_or(source))?;
    let has_batch = shape.first() == Some(&Dim::Batch);
    let sizes = if has_batch { &shape[1..] } else { &shape[..] };
    let error = || {
        unsupported(format!(
            "{} as {}: the first axis must stay the batch and the number of elements the same",
            show_shape(source),
            show_target(target)
        ))
    };
    let given = product(sizes).map_err(|_| error())?;
    if let Some(axis) = open {
        if rest.is_some() && !has_batch {
            // `[-1, K]` with all of a picture's elements in K.
            if axis != 0 || given != total {
                return Err(error());
            }
            shape[0] = Dim::Batch;
            return Ok(shape);
        }
        match total.checked_div(given) {
            Some(quotient) if quotient * given == total => shape[axis] = Dim::Fixed(quotient),
            _ => return Err(error()),
        }
        return Ok(shape);
    }
    match given == total && has_batch == rest.is_some() {
        true => Ok(shape),
        false => Err(error()),
    }
}

fn show_target(target: &[Size]) -> String {
    let sizes: Vec<String> = target
        .iter()
        .map(|size| match size {
            Size::Known(size) => size.to_string(),
            Size::Batch => "N".into(),
        })
        .collect();
    format!("[{}]", sizes.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dim::{Batch, Fixed};

    #[test]
    fn every_way_to_write_a_flatten() {
        let source = [Batch, Fixed(8), Fixed(2), Fixed(3)];
        let known = |sizes: &[i64]| sizes.iter().map(|&size| Size::Known(size)).collect::<Vec<_>>();
        let flat = vec![Batch, Fixed(48)];
        for (target, zero_is_size, limit, expected) in [
            (vec![Size::Batch, Size::Known(-1)], true, None, Some(flat.clone())),
            (vec![Size::Batch, Size::Known(48)], true, None, Some(flat.clone())),
            (known(&[-1, 48]), true, None, Some(flat.clone())),
            (known(&[0, -1]), false, None, Some(flat.clone())),
            (known(&[2, 48]), false, Some(2), Some(flat.clone())),
            (known(&[2, -1]), false, Some(2), Some(flat)),
            (known(&[0, 8, 6]), false, None, Some(vec![Batch, Fixed(8), Fixed(6)])),
            (known(&[0, 0, -1]), false, None, Some(vec![Batch, Fixed(8), Fixed(6)])),
            (known(&[0, -1]), true, None, None),
            (known(&[2, 48]), false, None, None),
            (known(&[-1, 24]), false, None, None),
            (known(&[-1, 48, 1, -1]), false, None, None),
            (known(&[48, -1]), false, None, None),
            (known(&[0, 7, -1]), false, None, None),
            (known(&[-5, 48]), false, None, None),
            (known(&[i64::MAX, i64::MAX]), false, None, None),
            (vec![Size::Known(48), Size::Batch], false, None, None),
        ] {
            let found = reshaped(&source, &target, zero_is_size, limit).ok();
            assert_eq!(found, expected, "{}", show_target(&target));
        }
    }
}
