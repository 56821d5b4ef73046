//! Fully connected layers, softmax and top-k through the emulator.

use crate::numbers::to_device;
use anyhow::{Result, ensure};
use libvision_cuda_emulator::{Access, Device, Memory};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::stored_channels;
use libvision_kernels::cuda::linear::{Linear, LinearTensors};
use libvision_kernels::cuda::rows::{softmax, top_k};

/// A fully connected layer on rows.
pub fn run_linear(
    device: &dyn Device,
    layer: &Linear,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
) -> Result<Vec<f32>> {
    let rows = x.len() / layer.inputs;
    let input = to_device(layer.element, x, layer.inputs, stored_channels(layer.inputs), 1);
    let weights = Memory::new(&layer.pack_weights(weights));
    let bias = Memory::new(&bias.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>());
    let mut output = Memory::unwritten(rows * layer.outputs * 4);
    let tensors = LinearTensors {
        input: input.address(),
        weights: weights.address(),
        bias: bias.address(),
        output: output.address(),
    };
    let launch = layer.launch(rows, &tensors)?;
    let mut buffers =
        [Access::Read(&input), Access::Read(&weights), Access::Read(&bias), Access::Write(&mut output)];
    device.launch(&launch, &mut buffers, 1)?;
    Ok(Element::F32.unpack(&output.to_bytes()))
}

fn to_memory(values: &[f32]) -> Memory {
    Memory::new(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// The softmax of each row.
pub fn run_softmax(device: &dyn Device, columns: usize, values: &[f32]) -> Result<Vec<f32>> {
    let input = to_memory(values);
    let mut output = Memory::unwritten(values.len() * 4);
    let launch = softmax(values.len() / columns, columns, [input.address(), output.address()])?;
    device.launch(&launch, &mut [Access::Read(&input), Access::Write(&mut output)], 2)?;
    Ok(Element::F32.unpack(&output.to_bytes()))
}

/// The columns of the best, as `libvision`'s own top-k defines them.
pub fn best(device: &dyn Device, scores: &[f32], count: usize) -> Result<Vec<u32>> {
    let input = to_memory(scores);
    let [mut output, mut indices] = [0; 2].map(|_| Memory::unwritten(count * 4));
    let launch = top_k(1, scores.len(), count, input.address(), [output.address(), indices.address()])?;
    let mut buffers = [Access::Read(&input), Access::Write(&mut output), Access::Write(&mut indices)];
    device.launch(&launch, &mut buffers, 3)?;
    let columns: Vec<u32> = indices.to_bytes().as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    for (column, score) in columns.iter().zip(Element::F32.unpack(&output.to_bytes())) {
        let expected = scores.get(*column as usize).map(|score| score.to_bits());
        ensure!(Some(score.to_bits()) == expected, "score {score} of column {column}");
    }
    Ok(columns)
}
