//! The convolution layers of four networks at 224 x 224, as torchvision defines them.

use crate::conv::geometry;
use libvision_kernels::geometry::{Conv2dGeometry, Window};

/// A layer of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkLayer {
    /// Its sizes.
    pub geometry: Conv2dGeometry,
    /// Whether what a block began with is added.
    pub residual: bool,
}

fn layer(
    inputs: usize,
    outputs: usize,
    groups: usize,
    window: Window,
    side: usize,
    residual: bool,
) -> NetworkLayer {
    NetworkLayer { geometry: geometry(inputs, outputs, groups, window, [side, side]), residual }
}

fn stem(outputs: usize) -> NetworkLayer {
    layer(3, outputs, 1, Window::square(7, 2, 3), 224, false)
}

/// ResNet-18.
pub fn resnet18() -> Vec<NetworkLayer> {
    let mut layers = vec![stem(64)];
    let (mut inputs, mut side) = (64, 56);
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            layers.push(layer(inputs, outputs, 1, Window::square(3, stride, 1), side, false));
            if stride == 2 {
                layers.push(layer(inputs, outputs, 1, Window::square(1, 2, 0), side, false));
            }
            side /= stride;
            layers.push(layer(outputs, outputs, 1, Window::square(3, 1, 1), side, true));
            inputs = outputs;
        }
    }
    layers
}

/// ResNet-50, or ResNeXt-50 with 32 groups of 4 channels. Widths are divided by `narrower`.
pub fn bottlenecks(groups: usize, group_width: usize, narrower: usize) -> Vec<NetworkLayer> {
    let mut layers = vec![stem(64 / narrower)];
    let (mut inputs, mut side) = (64 / narrower, 56);
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let width = ((64 << stage) * group_width / 64) * groups / narrower;
        let outputs = (256 << stage) / narrower;
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            layers.push(layer(inputs, width, 1, Window::square(1, 1, 0), side, false));
            layers.push(layer(width, width, groups, Window::square(3, stride, 1), side, false));
            if block == 0 {
                layers.push(layer(inputs, outputs, 1, Window::square(1, stride, 0), side, false));
            }
            side /= stride;
            layers.push(layer(width, outputs, 1, Window::square(1, 1, 0), side, true));
            inputs = outputs;
        }
    }
    layers
}

/// MobileNet-V2.
pub fn mobilenet_v2() -> Vec<NetworkLayer> {
    let mut layers = vec![layer(3, 32, 1, Window::square(3, 2, 1), 224, false)];
    let (mut inputs, mut side) = (32, 112);
    let settings = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    for (expansion, outputs, blocks, first_stride) in settings {
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let width = inputs * expansion;
            if expansion > 1 {
                layers.push(layer(inputs, width, 1, Window::square(1, 1, 0), side, false));
            }
            layers.push(layer(width, width, width, Window::square(3, stride, 1), side, false));
            side /= stride;
            layers.push(layer(width, outputs, 1, Window::square(1, 1, 0), side, block > 0));
            inputs = outputs;
        }
    }
    layers.push(layer(320, 1280, 1, Window::square(1, 1, 0), 7, false));
    layers
}

/// The distinct layers of all four.
pub fn distinct() -> Vec<NetworkLayer> {
    let networks = [resnet18(), bottlenecks(1, 64, 1), bottlenecks(32, 4, 1), mobilenet_v2()];
    let mut layers: Vec<NetworkLayer> = Vec::new();
    for layer in networks.concat() {
        match layers.iter_mut().find(|known| known.geometry == layer.geometry) {
            Some(known) => known.residual |= layer.residual,
            None => layers.push(layer),
        }
    }
    layers
}
