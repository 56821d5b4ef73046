//! How fast the emulator is: multiplications per second of three layers of ResNet-50, on one thread.

use anyhow::Result;
use libvision_cuda_emulator::{Access, Emulator, Memory};
use libvision_kernels::cuda::conv2d::{Conv2d, Conv2dTensors};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Conv2dGeometry, Window};
use std::time::Instant;

const RUNS: u64 = 5;

fn main() -> Result<()> {
    for (channels, side, window) in [
        ([64, 64], 56, Window::square(3, 1, 1)),
        ([256, 64], 56, Window::square(1, 1, 0)),
        ([512, 512], 7, Window::square(3, 1, 1)),
    ] {
        let geometry = Conv2dGeometry::new(channels[0], channels[1], 1, window, [side, side])?;
        let layer = Conv2d::new(&geometry, Element::F16, Activation::Relu, false)?;
        let weights: usize = geometry.weight_shape().iter().product();
        let input = Memory::new(&vec![0; channels[0] * side * side * 2]);
        let weights = Memory::new(&layer.pack_weights(&vec![0.5; weights]));
        let bias = Memory::new(&layer.pack_bias(None));
        let mut seconds = Vec::new();
        for seed in 0..RUNS {
            let mut output = Memory::unwritten(channels[1] * side * side * 2);
            let launch = layer.launch(
                1,
                &Conv2dTensors {
                    input: input.address(),
                    weights: weights.address(),
                    bias: bias.address(),
                    residual: 0,
                    output: output.address(),
                },
            )?;
            let mut buffers = [
                Access::Read(&input),
                Access::Read(&weights),
                Access::Read(&bias),
                Access::Write(&mut output),
            ];
            let emulator = Emulator::shared();
            let started = Instant::now();
            emulator.launch(&launch, &mut buffers, seed)?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        let rate = |time: f64| geometry.multiplications() as f64 / time / 1e9;
        println!(
            "{} to {} channels, {} x {}, {} x {side}: {:.2} GMAC/s ({:.2} to {:.2} in {RUNS} runs)",
            channels[0],
            channels[1],
            window.size[0],
            window.size[1],
            side,
            rate(seconds[seconds.len() / 2]),
            rate(seconds[seconds.len() - 1]),
            rate(seconds[0])
        );
    }
    Ok(())
}
