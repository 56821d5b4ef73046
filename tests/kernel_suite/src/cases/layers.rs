//! Every distinct convolution of ResNet-18, ResNet-50, ResNeXt-50 and MobileNet-V2, in every element type. The
//! numbers lie on a grid on which f32 sums are exact, so results must be the exact sums, rounded once.

use crate::conv::Layer;
use crate::networks::{NetworkLayer, distinct};
use crate::numbers::{compare, rounded};
use anyhow::{Context, Result, anyhow};
use libvision_cuda_emulator::Device;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::window::Depthwise;
use libvision_kernels::epilogue::Activation;
use std::sync::Mutex;

fn check(device: &dyn Device, layer: &NetworkLayer) -> Result<()> {
    let g = layer.geometry;
    let exact = Layer::exact(g, 1, Activation::Relu, layer.residual);
    let sums = exact.expected();
    for element in Element::ALL {
        let what = || format!("{element:?} {g:?}");
        let found = if Depthwise::new(&g, element, Activation::Relu).is_some() {
            exact.run_depthwise(device, element, 1).with_context(what)?
        } else {
            exact.run(device, element, 1).with_context(what)?.0
        };
        let expected: Vec<f64> = sums.iter().map(|sum| f64::from(rounded(element, *sum as f32))).collect();
        compare(&found, &expected, |_| 0.0).with_context(what)?;
    }
    Ok(())
}

pub(super) fn every_layer_of_four_networks_is_exact(device: &dyn Device) -> Result<()> {
    let layers = Mutex::new(distinct());
    let worker = || -> Result<()> {
        loop {
            let layer = layers.lock().map_err(|_| anyhow!("a testing thread panicked"))?.pop();
            match layer {
                Some(layer) => check(device, &layer)?,
                None => return Ok(()),
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(worker);
        worker()?;
        other.join().map_err(|_| anyhow!("a testing thread panicked"))?
    })
}

#[cfg(test)]
mod tests {
    use crate::networks::{NetworkLayer, bottlenecks, mobilenet_v2, resnet18};

    #[test]
    fn the_networks_are_what_they_are_called() {
        let multiplications = |layers: Vec<NetworkLayer>| {
            layers.iter().map(|layer| layer.geometry.multiplications()).sum::<usize>() / 1_000_000
        };
        assert_eq!(resnet18().len(), 20);
        assert_eq!(multiplications(resnet18()), 1813);
        assert_eq!(bottlenecks(1, 64, 1).len(), 53);
        assert_eq!(multiplications(bottlenecks(1, 64, 1)), 4087);
        assert_eq!(bottlenecks(32, 4, 1).len(), 53);
        assert_eq!(multiplications(bottlenecks(32, 4, 1)), 4228);
        assert_eq!(mobilenet_v2().len(), 52);
        assert_eq!(multiplications(mobilenet_v2()), 299);
    }
}
