//! Which device memory a launch reads and writes, from its argument block.

use bytemuck::{AnyBitPattern, try_pod_read_unaligned};
use libvision_kernels::cuda::arguments::{
    AxisArguments, Conv2dArguments, GlobalPoolArguments, LinearArguments, PairArguments, PictureArguments,
    ResizeArguments, RowArguments, WindowArguments,
};
use libvision_kernels::cuda::modules::SLAB_BYTES;

/// A range of device memory that a kernel uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) name: &'static str,
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    pub(crate) write: bool,
}

fn read(name: &'static str, address: u64, bytes: u64) -> Operand {
    Operand { name, address, bytes, write: false }
}

fn write(name: &'static str, address: u64, bytes: u64) -> Operand {
    Operand { name, address, bytes, write: true }
}

fn parse<A: AnyBitPattern>(arguments: &[u8]) -> Option<A> {
    try_pod_read_unaligned(arguments).ok()
}

fn product(sizes: &[u32]) -> u64 {
    sizes.iter().fold(1, |product, size| product.saturating_mul(u64::from(*size)))
}

/// The operands of a launch, or `None` for an entry point that is not known here. What the argument block
/// reaches only through memory comes from [`picture_operands`].
pub(crate) fn operands(entry_point: &str, blocks: u32, arguments: &[u8]) -> Option<Vec<Operand>> {
    let (element, family) = entry_point.split_once('_')?;
    let bytes = if element == "f32" { 4 } else { 2 };
    let mut all = match family {
        family if family.starts_with("conv2d") => {
            let a: Conv2dArguments = parse(arguments)?;
            let images = a.pixels / (a.out_height * a.out_width).max(1);
            let output = product(&[a.pixels, a.out_channels, bytes]);
            vec![
                read("input", a.input, product(&[images, a.in_height, a.in_width, a.in_channels, bytes])),
                read("weights", a.weights, product(&[a.out_channels, a.slabs, SLAB_BYTES as u32])),
                read("bias", a.bias, product(&[a.out_channels, 4])),
                read("residual", a.epilogue.residual, output),
                write("output", a.output, output),
            ]
        }
        "depthwise" | "max_pool" | "average_pool" => {
            let a: WindowArguments = parse(arguments)?;
            let pixels = a.items / (a.channels / 8).max(1);
            let images = pixels / (a.out_height * a.out_width).max(1);
            let output = product(&[a.items, 8, bytes]);
            let taps = product(&[a.filter_height, a.filter_width, a.channels, bytes]);
            vec![
                read("input", a.input, product(&[images, a.in_height, a.in_width, a.channels, bytes])),
                read("weights", a.weights, taps),
                read("bias", a.bias, product(&[a.channels, 4])),
                read("residual", a.epilogue.residual, output),
                write("output", a.output, output),
            ]
        }
        "global_average_pool" => {
            let a: GlobalPoolArguments = parse(arguments)?;
            let output = product(&[a.items, 8, bytes]);
            vec![
                read("input", a.input, output.saturating_mul(a.pixels.into())),
                write("output", a.output, output),
            ]
        }
        "add" | "multiply" => {
            let a: PairArguments = parse(arguments)?;
            let tensor = product(&[a.items, 8, bytes]);
            vec![
                read("left", a.left, tensor),
                read("right", a.right, product(&[a.by_repeats.divide(a.items), 8, bytes])),
                write("output", a.output, tensor),
            ]
        }
        "linear" => {
            let a: LinearArguments = parse(arguments)?;
            vec![
                read("input", a.input, product(&[a.rows, a.inputs, bytes])),
                read("weights", a.weights, product(&[a.outputs, a.inputs, bytes])),
                read("bias", a.bias, product(&[a.outputs, 4])),
                write("output", a.output, product(&[a.rows, a.outputs, 4])),
            ]
        }
        "softmax" | "top_k" => {
            let a: RowArguments = parse(arguments)?;
            let written = if family == "softmax" { a.columns } else { a.count };
            vec![
                read("input", a.input, product(&[blocks, a.columns, 4])),
                write("output", a.output, product(&[blocks, written, 4])),
                write("indices", a.indices, product(&[blocks, a.count, 4])),
            ]
        }
        family if family.starts_with("resize_normalize") => {
            let a: ResizeArguments = parse(arguments)?;
            let bytes = if family.ends_with("f32") { 4 } else { 2 };
            let pictures = u64::from(a.by_picture_tiles.divide(blocks));
            vec![
                read("pictures", a.pictures, pictures * size_of::<PictureArguments>() as u64),
                read("numbers", a.numbers, 3 * 256 * 4),
                write("output", a.output, pictures.saturating_mul(a.picture_stride).saturating_mul(bytes)),
            ]
        }
        _ => return None,
    };
    all.retain(|operand| operand.address != 0 && operand.bytes != 0);
    Some(all)
}

/// What the pictures of a preprocessing launch point to; `table` holds their argument blocks.
pub(crate) fn picture_operands(table: &[u8]) -> Vec<Operand> {
    let mut all = Vec::new();
    for picture in table.chunks_exact(size_of::<PictureArguments>()) {
        let Some(picture) = parse::<PictureArguments>(picture) else { continue };
        let axes = [picture.first, picture.second];
        if axes.iter().all(|axis| axis.source > 0) {
            let last: u64 = axes.iter().map(|axis| u64::from(axis.source - 1) * u64::from(axis.stride)).sum();
            all.push(read("pixels", picture.pixels, last + 3));
        }
        for AxisArguments { starts, weights, taps, count, .. } in axes {
            all.push(read("starts", starts, product(&[count, 4])));
            all.push(read("coefficients", weights, product(&[count, taps, 4])));
        }
    }
    all.retain(|operand| operand.address != 0 && operand.bytes != 0);
    all
}

#[cfg(test)]
mod tests {
    use super::{Operand, operands};
    use crate::image::argument_bytes;
    use libvision_kernels::cuda::element::Element;
    use libvision_kernels::cuda::linear::{Linear, LinearTensors};
    use libvision_kernels::cuda::modules::MODULES;
    use libvision_kernels::epilogue::Activation;

    #[test]
    fn every_entry_point_is_known() {
        for entry in MODULES.iter().flat_map(|module| module.entry_points) {
            let arguments = vec![0; argument_bytes()[entry.name]];
            assert!(operands(entry.name, 1, &arguments).is_some(), "{}", entry.name);
            assert!(operands(entry.name, 1, &arguments[1..]).is_none(), "{}: a block cut short", entry.name);
        }
        assert!(operands("f16_unheard_of", 1, &[]).is_none());
    }

    #[test]
    fn ranges_are_those_of_the_tensors() -> anyhow::Result<()> {
        let layer = Linear { inputs: 27, outputs: 10, element: Element::F16, activation: Activation::Relu };
        let tensors = LinearTensors { input: 1 << 20, weights: 2 << 20, bias: 0, output: 3 << 20 };
        let launch = layer.launch(6, &tensors)?;
        let found = operands(launch.entry_point, launch.blocks, &launch.arguments).unwrap_or_default();
        let operand = |name, address, bytes, write| Operand { name, address, bytes, write };
        let expected = [
            operand("input", 1 << 20, 6 * 32 * 2, false),
            operand("weights", 2 << 20, 10 * 32 * 2, false),
            operand("output", 3 << 20, 6 * 10 * 4, true),
        ];
        assert_eq!(found, expected);
        Ok(())
    }
}
