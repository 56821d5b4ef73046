//! Convolution layers to test: description, random weights and images, running, the expected result.

use super::{Random, SENTINEL, Threads, bits, blocked, error, plain};
use libvision_kernels::cpu::conv2d::{Conv2d, Conv2dSpec, ConvAlgorithm, ConvOptions};
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::cpu::variants::{KernelSet, usable_sets};
use libvision_kernels::epilogue::{Activation, Epilogue};
use libvision_kernels::geometry::{Conv2dGeometry, Padding, Window};
use libvision_kernels::parallel::{Parallel, Serial};
use libvision_kernels::reference;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) groups: usize,
    pub(crate) window: Window,
    pub(crate) size: [usize; 2],
    pub(crate) bias: bool,
    pub(crate) residual: bool,
    pub(crate) activation: Activation,
    /// Whether only direct convolution will do.
    pub(crate) precise: bool,
    pub(crate) algorithm: Option<ConvAlgorithm>,
}

impl Case {
    pub(crate) fn new(inputs: usize, outputs: usize, window: Window, size: [usize; 2]) -> Self {
        let activation = Activation::Identity;
        Self {
            inputs,
            outputs,
            groups: 1,
            window,
            size,
            bias: true,
            residual: false,
            activation,
            precise: true,
            algorithm: None,
        }
    }

    pub(crate) fn grouped(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn epilogue(self, bias: bool, residual: bool, activation: Activation) -> Self {
        Self { bias, residual, activation, ..self }
    }
}

/// How the input's channels lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lanes {
    Vector,
    Interleaved(usize),
}

/// A layer with its weights and some images.
pub(crate) struct Layer {
    pub(crate) case: Case,
    pub(crate) geometry: Conv2dGeometry,
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) images: Vec<Vec<f32>>,
    pub(crate) residuals: Vec<Vec<f32>>,
}

impl Layer {
    pub(crate) fn new(case: Case, images: usize) -> Self {
        let g = Conv2dGeometry::new(case.inputs, case.outputs, case.groups, case.window, case.size)
            .expect("geometry");
        let mut random = Random::new(case.inputs as u64 * 31 + case.outputs as u64);
        let fan_in: usize = g.weight_shape()[1..].iter().product();
        let weights = random.values(g.weight_shape().iter().product(), (3.0 / fan_in as f32).sqrt());
        let bias = case.bias.then(|| random.values(case.outputs, 1.0));
        let pixels = |[h, w]: [usize; 2]| h * w;
        let inputs = (0..images).map(|_| random.values(case.inputs * pixels(g.input), 1.0)).collect();
        let residuals = (0..images).map(|_| random.values(case.outputs * pixels(g.output), 1.0)).collect();
        Self { case, geometry: g, weights, bias, images: inputs, residuals }
    }

    pub(crate) fn spec(&self, set: &KernelSet, lanes: Lanes) -> Conv2dSpec {
        let (case, g) = (&self.case, self.geometry);
        let options = ConvOptions { precise: case.precise, algorithm: case.algorithm };
        let input_lanes = match lanes {
            Lanes::Vector => set.lanes,
            Lanes::Interleaved(lanes) => lanes,
        };
        // More border than is needed, as when other layers read the tensor too.
        let need = Conv2d::input_border(set, &g, options);
        let border = Padding { top: need.top + 1, right: need.right + 2, ..need };
        let tensor =
            |border| BlockedShape::new(case.outputs, g.output[0], g.output[1], set.lanes).with_border(border);
        Conv2dSpec {
            geometry: g,
            input: BlockedShape::new(case.inputs, g.input[0], g.input[1], input_lanes).with_border(border),
            output: tensor(Padding { top: 0, left: 2, bottom: 1, right: 1 }),
            residual: case.residual.then(|| tensor(Padding { top: 1, left: 0, bottom: 0, right: 3 })),
            epilogue: Epilogue { bias: case.bias, residual: case.residual, activation: case.activation },
            options,
        }
    }

    pub(crate) fn prepare(&self, set: &'static KernelSet, lanes: Lanes) -> (Conv2d, Conv2dSpec) {
        let spec = self.spec(set, lanes);
        let conv = Conv2d::new(set, spec, &self.weights, self.bias.as_deref());
        (conv.unwrap_or_else(|e| panic!("{:?}: {e}", self.case)), spec)
    }

    /// The results for the images named, run as one batch.
    pub(crate) fn run(
        &self,
        (conv, spec): &(Conv2d, Conv2dSpec),
        parallel: &dyn Parallel,
        images: &[usize],
    ) -> Vec<Vec<f32>> {
        let pick = |from: &'_ [Vec<f32>]| images.iter().map(|i| from[*i].clone()).collect::<Vec<_>>();
        let slices = |of: &[Vec<f32>], shape: &BlockedShape| {
            blocked(shape, &of.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let input = slices(&pick(&self.images), &spec.input);
        let residual = spec.residual.map(|shape| slices(&pick(&self.residuals), &shape));
        let mut output = vec![SENTINEL; images.len() * spec.output.len()];
        let mut workspace = vec![f32::NAN; conv.workspace_len(parallel.threads())];
        conv.run(parallel, images.len(), &input, residual.as_deref(), &mut output, &mut workspace);
        plain(&spec.output, images.len(), &output)
    }

    pub(crate) fn expected(&self, image: usize) -> Vec<f64> {
        reference::conv2d::conv2d(
            &self.geometry,
            &self.images[image],
            &self.weights,
            self.bias.as_deref(),
            self.case.residual.then(|| self.residuals[image].as_slice()),
            self.case.activation,
        )
    }
}

/// Runs the layer with every usable kernel set. The algorithm must be one whose name starts as told.
pub(crate) fn compare_with_reference(case: Case, lanes: Lanes, algorithm: &str, tolerance: f64) {
    let layer = Layer::new(case, 1);
    let expected = layer.expected(0);
    for set in usable_sets() {
        let prepared = layer.prepare(set, lanes);
        assert!(prepared.0.algorithm().starts_with(algorithm), "{case:?}: {}", prepared.0.algorithm());
        let got = layer.run(&prepared, &Serial, &[0]);
        let error = error(&got[0], &expected);
        assert!(error <= tolerance, "{case:?} in {lanes:?} lanes, {}: error {error:e}", set.isa);
    }
}

/// Runs images alone, in batches of several sizes at all places, and with several threads: the bits must be
/// the same.
pub(crate) fn check_bits(case: Case, lanes: Lanes) {
    let layer = Layer::new(case, 5);
    for set in usable_sets() {
        let prepared = layer.prepare(set, lanes);
        let alone: Vec<_> = (0..5).map(|i| bits(&layer.run(&prepared, &Serial, &[i])[0])).collect();
        assert_ne!(alone[0], alone[1], "different images must differ for this test to mean anything");
        for images in [&[0][..], &[1, 0], &[3, 1, 4, 0, 2]] {
            for threads in [1, 2, 3, 8] {
                let got = layer.run(&prepared, &Threads(threads), images);
                for (image, result) in images.iter().zip(&got) {
                    assert_eq!(
                        bits(result),
                        alone[*image],
                        "{case:?}, {}: image {image} of {images:?}, {threads} threads",
                        set.isa
                    );
                }
            }
        }
    }
}

/// Kernel sizes, strides, dilations and borders.
pub(crate) fn windows() -> Vec<Window> {
    let uneven = Padding { top: 2, left: 0, bottom: 1, right: 3 };
    vec![
        Window::square(1, 1, 0),
        Window::square(3, 1, 1),
        Window::square(3, 2, 1),
        Window::square(5, 1, 2),
        Window::square(7, 2, 3),
        Window { size: [3, 3], stride: [1, 1], dilation: [2, 2], padding: Padding::uniform(2) },
        Window { size: [1, 5], stride: [3, 2], dilation: [1, 2], padding: uneven },
        Window { size: [3, 2], stride: [2, 3], dilation: [2, 1], padding: uneven },
        Window { size: [1, 1], stride: [2, 2], dilation: [1, 1], padding: Padding::uniform(0) },
    ]
}

pub(crate) fn fits(window: &Window, size: [usize; 2]) -> bool {
    window.output_size(size[0], size[1]).is_ok()
}
