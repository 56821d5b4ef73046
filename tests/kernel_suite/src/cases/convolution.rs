//! Convolution kernels against the reference: exactly where the numbers allow it, and within the rounding of
//! f32 sums where they do not.

use crate::conv::{Layer, geometry};
use crate::numbers::{compare, rounded};
use anyhow::{Context, Result, ensure};
use libvision_cuda_emulator::Device;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Conv2dGeometry, Padding, Window};

/// Awkward layers: one pixel, sizes beside a tile's, channels that need padding, all kinds of windows.
fn awkward() -> Vec<Conv2dGeometry> {
    let lopsided = Window {
        size: [2, 5],
        stride: [1, 2],
        dilation: [3, 1],
        padding: Padding { top: 2, left: 0, bottom: 1, right: 3 },
    };
    vec![
        geometry(1, 1, 1, Window::square(1, 1, 0), [1, 1]),
        geometry(3, 8, 1, Window::square(7, 2, 3), [9, 11]),
        geometry(3, 64, 1, Window::square(3, 2, 1), [23, 17]),
        geometry(4, 130, 1, Window::square(1, 1, 0), [5, 7]),
        geometry(5, 7, 1, Window::square(3, 1, 1), [4, 6]),
        geometry(8, 72, 1, Window::square(3, 1, 1), [8, 8]),
        geometry(12, 20, 1, lopsided, [13, 14]),
        geometry(24, 144, 1, Window::square(1, 1, 0), [8, 16]),
        geometry(40, 33, 1, Window::square(1, 2, 0), [13, 11]),
        geometry(64, 129, 1, Window::square(3, 1, 1), [11, 12]),
        geometry(64, 64, 1, Window::square(1, 1, 1), [6, 5]),
        geometry(136, 257, 1, Window::square(1, 1, 0), [3, 43]),
        geometry(16, 16, 16, Window::square(3, 1, 1), [6, 6]),
        geometry(12, 24, 3, Window::square(3, 1, 1), [5, 5]),
        geometry(64, 128, 16, Window::square(3, 2, 1), [9, 9]),
        geometry(128, 128, 2, Window::square(3, 1, 1), [5, 6]),
        geometry(3, 6, 3, Window::square(3, 1, 1), [7, 5]),
    ]
}

pub(super) fn awkward_layers_are_exact(device: &dyn Device) -> Result<()> {
    for g in awkward() {
        for images in [1, 3] {
            let layer = Layer::exact(g, images, Activation::Relu, images == 3);
            let exact = layer.expected();
            for element in Element::ALL {
                let what = || format!("{element:?} {g:?}");
                let (found, _) = layer.run(device, element, 1).with_context(what)?;
                let expected: Vec<f64> =
                    exact.iter().map(|x| f64::from(rounded(element, *x as f32))).collect();
                compare(&found, &expected, |_| 0.0).with_context(what)?;
            }
        }
    }
    Ok(())
}

/// One rounding of f32 for each product in a sum, then one of the element type.
pub(super) fn real_numbers_are_within_the_rounding_of_f32_sums(device: &dyn Device) -> Result<()> {
    for g in awkward() {
        for element in Element::ALL {
            let what = || format!("{element:?} {g:?}");
            let layer = Layer::real(g, 2, Activation::Identity, true).rounded(element);
            let (found, _) = layer.run(device, element, 2).with_context(what)?;
            let (expected, magnitudes) = (layer.expected(), layer.magnitudes());
            let depth = g.weight_shape()[1..].iter().product::<usize>() as f64 + 2.0;
            let tolerance = |i: usize| {
                let sum = depth * f64::from(Element::F32.epsilon()) * magnitudes[i];
                sum + f64::from(element.epsilon()) * (expected[i].abs() + sum) + 1e-7
            };
            compare(&found, &expected, tolerance).with_context(what)?;
        }
    }
    Ok(())
}

pub(super) fn activations_follow_the_sum(device: &dyn Device) -> Result<()> {
    for activation in Activation::ONE_OF_EACH {
        let g = geometry(32, 40, 1, Window::square(3, 1, 1), [9, 9]);
        let layer = Layer::exact(g, 1, activation, true);
        for element in Element::ALL {
            let (found, _) = layer.run(device, element, 3)?;
            let expected = layer.expected();
            let tolerance = |i: usize| (f64::from(element.epsilon()) + 2e-6) * expected[i].abs().max(0.1);
            compare(&found, &expected, tolerance).with_context(|| format!("{element:?} {activation:?}"))?;
        }
    }
    Ok(())
}

/// Real numbers, so that another order of any sum would show in its last bits.
pub(super) fn a_result_depends_on_nothing_but_its_image(device: &dyn Device) -> Result<()> {
    for (g, element) in [
        (geometry(3, 64, 1, Window::square(7, 2, 3), [37, 29]), Element::F16),
        (geometry(64, 96, 1, Window::square(3, 1, 1), [9, 7]), Element::F16),
        (geometry(72, 64, 1, Window::square(1, 1, 0), [7, 7]), Element::Bf16),
        (geometry(64, 64, 16, Window::square(3, 1, 1), [7, 7]), Element::F32),
    ] {
        let layer = Layer::real(g, 8, Activation::Relu, true);
        let run = |from: usize, images: usize, seed: u64| {
            let cut =
                |values: &[f32]| values[values.len() / 8 * from..][..values.len() / 8 * images].to_vec();
            let part = Layer {
                images,
                x: cut(&layer.x),
                residual: layer.residual.as_deref().map(cut),
                ..layer.clone()
            };
            part.run(device, element, seed).map(|(found, _)| found)
        };
        let all = run(0, 8, 4)?;
        let size = all.len() / 8;
        for (from, images) in [(0, 1), (3, 1), (7, 1), (1, 2), (2, 5), (0, 8)] {
            let alone = run(from, images, 5 + images as u64)?;
            let same = alone.iter().zip(&all[from * size..]).all(|(a, b)| a.to_bits() == b.to_bits());
            ensure!(same, "{g:?}: {images} images from {from} on");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libvision_kernels::cuda::conv2d::Conv2d;

    #[test]
    fn impossible_batches_are_refused() -> Result<()> {
        let g = geometry(8, 8, 1, Window::square(1, 1, 0), [1 << 16, 1 << 10]);
        let conv = Conv2d::new(&g, Element::F16, Activation::Relu, false)?;
        let error = conv.launch(64, &Default::default()).expect_err("2^32 pixels");
        assert!(error.to_string().contains("smaller batches"), "{error}");
        conv.launch(1, &Default::default())?;
        assert!(Conv2d::new(&g, Element::F16, Activation::Relu, true).is_err(), "8 channels are not narrow");
        Ok(())
    }
}
