//! A batch of pictures through the preprocessing kernel.

use crate::numbers::{Random, rounded};
use anyhow::Result;
use libvision_cuda_emulator::{Access, Device, Memory};
use libvision_kernels::cpu::resize::{ResizePlan, selected};
use libvision_kernels::cuda::resize::{PictureTables, Placement, Resize};
use libvision_kernels::reference::normalize::{Normalization, Planes};
use libvision_kernels::reference::resize::{Filter, Rect, ResizeGeometry};

/// The usual mean and deviation.
pub const IMAGENET: Normalization =
    Normalization { scale: 1.0 / 255.0, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/// A picture, and where its resized window lies in the result.
#[derive(Debug)]
pub struct Picture {
    /// How it is resized.
    pub geometry: ResizeGeometry,
    /// Where it lies in the result.
    pub placement: Placement,
    /// RGB, row after row.
    pub pixels: Vec<u8>,
}

/// A resize of random sizes, source box and window, and a place in a result of `output`.
pub fn random_picture(random: &mut Random, filter: Filter, output: [usize; 2]) -> Result<Picture> {
    let side = |random: &mut Random| match random.between(0, 3) {
        0 => random.between(1, 4),
        1 => random.between(1, 200),
        _ => random.between(1, 60),
    };
    let input = [side(random), side(random)];
    let resized = [random.between(1, 70), random.between(1, 70)];
    let inside = [0, 1].map(|axis| random.between(1, resized[axis].min(output[axis])));
    let [top, left] = [0, 1].map(|axis| random.between(0, resized[axis] - inside[axis]));
    let window = Rect { top, left, height: inside[0], width: inside[1] };
    let source = if random.between(0, 3) == 0 {
        let edge = |random: &mut Random, size: usize| {
            let low = random.between(0, 40) as f32 / 100.0 * size as f32;
            [low, low + (size as f32 - low) * random.between(30, 100) as f32 / 100.0]
        };
        let [left, right] = edge(random, input[1]);
        let [top, bottom] = edge(random, input[0]);
        [left, top, right, bottom]
    } else {
        [0.0, 0.0, input[1] as f32, input[0] as f32]
    };
    let geometry = ResizeGeometry::with_box(filter, input, source, resized, window)?;
    let at = [0, 1].map(|axis| random.between(0, output[axis] - inside[axis]));
    let canvas_at = [0, 1].map(|axis| random.between(0, at[axis]));
    let canvas = [0, 1].map(|axis| random.between(at[axis] + inside[axis], output[axis]) - canvas_at[axis]);
    let fill = [random.bits() as u8, random.bits() as u8, random.bits() as u8];
    let pixels = (0..input[0] * input[1] * 3).map(|_| random.bits() as u8).collect();
    Ok(Picture { geometry, placement: Placement { at, canvas_at, canvas, fill }, pixels })
}

/// The output tensor for a batch, as bytes.
pub fn preprocess(device: &dyn Device, resize: &Resize, pictures: &[Picture], seed: u64) -> Result<Vec<u8>> {
    let numbers = Memory::new(&Resize::numbers(&IMAGENET));
    let mut memories = Vec::new();
    let mut blocks = Vec::new();
    for picture in pictures {
        let tables = PictureTables::new(Some(&picture.geometry), &picture.placement)?;
        let (pixels, words) = (Memory::new(&picture.pixels), Memory::new(tables.bytes()));
        blocks.push(tables.arguments(pixels.address(), words.address()));
        memories.extend([pixels, words]);
    }
    let blocks: Vec<u8> = blocks.iter().flat_map(|block| bytemuck::bytes_of(block).to_vec()).collect();
    let blocks = Memory::new(&blocks);
    let mut output = Memory::unwritten(pictures.len() * resize.output_len() * resize.element.bytes());
    let launch = resize.launch(pictures.len(), blocks.address(), numbers.address(), output.address())?;
    let mut buffers = vec![Access::Read(&numbers), Access::Read(&blocks), Access::Write(&mut output)];
    buffers.extend(memories.iter().map(Access::Read));
    device.launch(&launch, &mut buffers, seed)?;
    Ok(output.to_bytes())
}

/// What the CPU makes of a picture: bytes with borders, then numbers in the wanted layout.
pub fn expected(picture: &Picture, resize: &Resize) -> Vec<f32> {
    let [height, width] = resize.output;
    let mut bytes = vec![0_u8; height * width * 3];
    let place = &picture.placement;
    for row in place.canvas_at[0]..place.canvas_at[0] + place.canvas[0] {
        for column in place.canvas_at[1]..place.canvas_at[1] + place.canvas[1] {
            bytes[(row * width + column) * 3..][..3].copy_from_slice(&place.fill);
        }
    }
    let target = &mut bytes[(place.at[0] * width + place.at[1]) * 3..];
    ResizePlan::new(&picture.geometry).run(selected(), &picture.pixels, target, width * 3, &mut Vec::new());
    let stored = resize.output_len() / (height * width);
    let mut values = vec![0.0; resize.output_len()];
    for (pixel, color) in bytes.as_chunks::<3>().0.iter().enumerate() {
        for (channel, value) in color.iter().enumerate() {
            let index = match resize.planes {
                Planes::Hwc => pixel * stored + channel,
                Planes::Chw => channel * height * width + pixel,
            };
            values[index] = rounded(resize.element, IMAGENET.apply(channel, *value));
        }
    }
    values
}
