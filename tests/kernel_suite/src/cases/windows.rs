//! Depthwise convolution, pooling, sums and products against the reference.

use crate::conv::{Layer, geometry};
use crate::numbers::{Random, compare, rounded};
use crate::pair::{expected, run_pair};
use crate::pool::{run_global_pool, run_pool};
use anyhow::{Context, Result};
use libvision_cuda_emulator::Device;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::window::{Depthwise, Operation, Pair, Pooling};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Padding, Pool2dGeometry, Window};
use libvision_kernels::reference::pool2d;

fn windows() -> Vec<Window> {
    vec![
        Window::square(1, 1, 0),
        Window::square(2, 2, 0),
        Window::square(3, 2, 1),
        Window {
            size: [3, 2],
            stride: [1, 3],
            dilation: [2, 1],
            padding: Padding { top: 2, left: 1, bottom: 0, right: 1 },
        },
    ]
}

pub(super) fn depthwise_layers_are_exact(device: &dyn Device) -> Result<()> {
    for window in windows() {
        for channels in [2, 8, 20, 96] {
            let g = geometry(channels, channels, channels, window, [9, 12]);
            let layer = Layer::exact(g, 2, Activation::Clip { low: 0.0, high: 6.0 }, channels == 20);
            let exact = layer.expected();
            for element in Element::ALL {
                let found = layer.run_depthwise(device, element, 1).with_context(|| format!("{g:?}"))?;
                let expected: Vec<f64> =
                    exact.iter().map(|x| f64::from(rounded(element, *x as f32))).collect();
                compare(&found, &expected, |_| 0.0).with_context(|| format!("{element:?} {g:?}"))?;
            }
        }
    }
    let dense = geometry(8, 8, 1, Window::square(1, 1, 0), [1, 1]);
    assert!(Depthwise::new(&dense, Element::F16, Activation::Identity).is_none());
    Ok(())
}

pub(super) fn pooling_is_that_of_the_reference(device: &dyn Device) -> Result<()> {
    let mut random = Random(2);
    for window in windows() {
        for channels in [1, 16, 27] {
            let g = Pool2dGeometry::new(channels, window, [10, 11])?;
            let x = random.grid(2 * channels * 110, 1.0 / 64.0);
            for element in Element::ALL {
                for pooling in [
                    Pooling::Max,
                    Pooling::Average { count_border: true },
                    Pooling::Average { count_border: false },
                ] {
                    let found = run_pool(device, &g, pooling, element, &x)?;
                    let of = |image: &[f32]| match pooling {
                        Pooling::Max => pool2d::max_pool(&g, image),
                        Pooling::Average { count_border } => pool2d::average_pool(&g, count_border, image),
                    };
                    let expected: Vec<f64> = x.chunks_exact(channels * 110).flat_map(of).collect();
                    let tolerance =
                        |i: usize| f64::from(element.epsilon()) * (1.001 * expected[i].abs()) + 1e-6;
                    compare(&found, &expected, tolerance)
                        .with_context(|| format!("{pooling:?} {element:?} {g:?}"))?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn the_border_never_wins_and_neither_does_nan(device: &dyn Device) -> Result<()> {
    let g = Pool2dGeometry::new(1, Window::square(3, 1, 1), [1, 3])?;
    let found = run_pool(device, &g, Pooling::Max, Element::F32, &[-5.0, f32::NAN, -7.0])?;
    assert_eq!(found, [-5.0, -5.0, -7.0]);
    Ok(())
}

pub(super) fn global_means(device: &dyn Device) -> Result<()> {
    for (channels, pixels) in [(1, 1), (9, 49), (64, 50)] {
        let x = Random(3).grid(3 * channels * pixels, 1.0 / 64.0);
        let expected: Vec<f64> = x
            .chunks_exact(channels * pixels)
            .flat_map(|image| pool2d::global_average_pool(channels, image))
            .collect();
        for element in Element::ALL {
            let found = run_global_pool(device, channels, pixels, element, &x)?;
            let tolerance = |i: usize| f64::from(element.epsilon()) * expected[i].abs() * 1.001 + 1e-7;
            compare(&found, &expected, tolerance)?;
        }
    }
    Ok(())
}

/// Sums and products, of tensors of one size and with one pixel for all of an image.
pub(super) fn pairs_of_tensors(device: &dyn Device) -> Result<()> {
    let sizes = [(1, 1, true), (20, 15, true), (20, 15, false), (8, 300, false), (9, 1, false)];
    for element in Element::ALL {
        for operation in [Operation::Add, Operation::Multiply] {
            let combine: fn(f32, f32) -> f32 = match operation {
                Operation::Add => |left, right| left + right,
                Operation::Multiply => |left, right| left * right,
            };
            for (channels, pixels, right_is_whole) in sizes {
                let activation = Activation::Clip { low: -0.5, high: 0.75 };
                let pair = Pair { operation, channels, pixels, right_is_whole, element, activation };
                let mut random = Random(4);
                let left = random.grid(3 * channels * pixels, 1.0 / 64.0);
                let right = random.grid(3 * channels * if right_is_whole { pixels } else { 1 }, 1.0 / 64.0);
                let tensors = [&left[..], &right[..]];
                let expected: Vec<f64> = expected(&pair, tensors, combine)
                    .into_iter()
                    .map(|value| f64::from(rounded(element, value)))
                    .collect();
                compare(&run_pair(device, &pair, tensors)?, &expected, |_| 0.0)
                    .with_context(|| format!("{pair:?}"))?;
            }
        }
    }
    Ok(())
}
