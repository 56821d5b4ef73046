//! Windows over the two spatial axes, and the poolings.

use crate::error::Result;
use crate::graph::{Op, show_shape};
use crate::import::onnx::attributes::Attributes;
use crate::import::onnx::node::{NodeReader, invalid, unsupported};
use crate::import::onnx::operand::Operand;
use libvision_kernels::geometry::{Padding, Window};

/// A window from a node's attributes.
pub(super) struct SpatialWindow {
    pub(super) window: Window,
    /// Rows and columns that `ceil_mode` adds below and to the right; part of the window's border.
    pub(super) rounded_up: [usize; 2],
}

/// The window of `size` over an input of `input` pixels: strides, dilations, pads, auto_pad and ceil_mode.
pub(super) fn sized_window(
    attributes: &Attributes<'_>,
    size: [usize; 2],
    input: [usize; 2],
) -> Result<SpatialWindow> {
    let stride = pair(attributes, "strides", 1)?.unwrap_or([1, 1]);
    let dilation = pair(attributes, "dilations", 1)?.unwrap_or([1, 1]);
    if size.contains(&0) {
        return Err(invalid(format!("a window of {size:?}")));
    }
    let mut extent = [0; 2];
    for axis in 0..2 {
        extent[axis] = (size[axis] - 1)
            .checked_mul(dilation[axis])
            .and_then(|span| span.checked_add(1))
            .ok_or_else(|| invalid(format!("a window of {size:?} with dilations {dilation:?}")))?;
    }
    let pads = pads(attributes)?;
    let mut borders = match attributes.text("auto_pad", "NOTSET")? {
        "NOTSET" => pads,
        kind if pads != [[0; 2]; 2] => {
            return Err(invalid(format!("both auto_pad {kind} and pads are given")));
        }
        "VALID" => pads,
        kind @ ("SAME_UPPER" | "SAME_LOWER") => [0, 1].map(|axis| {
            let outputs = input[axis].div_ceil(stride[axis]);
            let covered = outputs.saturating_sub(1).saturating_mul(stride[axis]).saturating_add(extent[axis]);
            let total = covered.saturating_sub(input[axis]);
            let (small, large) = (total / 2, total - total / 2);
            if kind == "SAME_UPPER" { [small, large] } else { [large, small] }
        }),
        other => return Err(invalid(format!("auto_pad is {other:?}"))),
    };
    let mut rounded_up = [0; 2];
    if attributes.flag("ceil_mode", false)? {
        for axis in 0..2 {
            let [before, after] = borders[axis];
            let padded = input[axis] + before + after;
            let rest = padded.saturating_sub(extent[axis]);
            // A last window that would begin in the border after the image is left out, as PyTorch does.
            let last = rest.div_ceil(stride[axis]).saturating_mul(stride[axis]);
            if last > rest && last < input[axis] + before {
                rounded_up[axis] = last - rest;
                borders[axis][1] += rounded_up[axis];
            }
        }
    }
    let padding =
        Padding { top: borders[0][0], left: borders[1][0], bottom: borders[0][1], right: borders[1][1] };
    Ok(SpatialWindow { window: Window { size, stride, dilation, padding }, rounded_up })
}

/// Pixels before and after, per axis.
fn pads(attributes: &Attributes<'_>) -> Result<[[usize; 2]; 2]> {
    let listed = attributes.ints("pads")?.unwrap_or(&[0, 0, 0, 0]);
    let &[top, left, bottom, right] = listed else {
        return Err(unsupported(format!("pads {listed:?}: expected two spatial axes, four numbers")));
    };
    let border = |pixels: i64| {
        if pixels < 0 {
            return Err(unsupported(format!("pads {listed:?}: negative ones are not supported")));
        }
        bounded("pads", pixels)
    };
    Ok([[border(top)?, border(bottom)?], [border(left)?, border(right)?]])
}

/// Two numbers of at least `least`.
fn pair(attributes: &Attributes<'_>, name: &str, least: usize) -> Result<Option<[usize; 2]>> {
    let Some(listed) = attributes.ints(name)? else { return Ok(None) };
    let &[a, b] = listed else {
        return Err(unsupported(format!("{name} {listed:?}: expected two spatial axes, two numbers")));
    };
    let pair = [bounded(name, a)?, bounded(name, b)?];
    match pair.iter().all(|&number| number >= least) {
        true => Ok(Some(pair)),
        false => Err(invalid(format!("{name} {listed:?}: expected numbers of at least {least}"))),
    }
}

/// A number of pixels; sums of a few cannot overflow.
fn bounded(name: &str, number: i64) -> Result<usize> {
    match usize::try_from(number) {
        Ok(number) if number <= 1 << 24 => Ok(number),
        _ => Err(invalid(format!("{name} of {number} pixels"))),
    }
}

fn pool_window(node: &mut NodeReader<'_, '_>) -> Result<SpatialWindow> {
    let [_, height, width] = node.image_sizes(0)?;
    let size =
        pair(&node.attributes, "kernel_shape", 1)?.ok_or_else(|| invalid("kernel_shape is missing"))?;
    sized_window(&node.attributes, size, [height, width])
}

/// MaxPool. What `ceil_mode` adds is border, and the border never wins.
pub(super) fn max_pool(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    if node.attributes.flag("storage_order", false)? {
        return Err(unsupported("storage_order 1 is not supported"));
    }
    let window = pool_window(node)?.window;
    let input = node.value(0)?;
    node.emit(Op::MaxPool { window }, vec![input])
}

/// AveragePool. What `ceil_mode` adds never counts, so it cannot stand beside a border that does.
pub(super) fn average_pool(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let SpatialWindow { window, rounded_up } = pool_window(node)?;
    let has_border = window.padding != Padding::default();
    let count_include_pad = node.attributes.flag("count_include_pad", false)? && has_border;
    if count_include_pad && rounded_up != [0; 2] {
        return Err(unsupported(
            "ceil_mode 1 with count_include_pad 1, where the size does not divide evenly",
        ));
    }
    if window.dilation != [1, 1] {
        return Err(unsupported(format!("dilations {:?} are not supported", window.dilation)));
    }
    let input = node.value(0)?;
    node.emit(Op::AveragePool { window, count_include_pad }, vec![input])
}

/// GlobalAveragePool.
pub(super) fn global_average_pool(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    node.image_sizes(0)?;
    let input = node.value(0)?;
    node.emit(Op::GlobalAveragePool { keep_dims: true }, vec![input])
}

/// ReduceMean over exactly the two spatial axes.
pub(super) fn reduce_mean(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let view = node.view(0)?;
    let axes = node.axes(1, view.shape.len())?.unwrap_or_default();
    if view.shape.len() != 4 || axes != [2, 3] {
        return Err(unsupported(format!(
            "axes {axes:?} of {}: only the mean over the two spatial axes is supported",
            show_shape(&view.shape)
        )));
    }
    let keep_dims = node.attributes.flag("keepdims", true)?;
    let input = node.value(0)?;
    node.emit(Op::GlobalAveragePool { keep_dims }, vec![input])
}
