//! Fully connected layers: each usable kernel set against the reference.

mod support;

use libvision_kernels::cpu::linear::Linear;
use libvision_kernels::cpu::variants::usable_sets;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::parallel::Serial;
use libvision_kernels::reference;
use proptest::prelude::*;
use support::{Random, Threads, bits, error};

/// Largest error, relative to the largest value: sums of up to some thousand products.
const TOLERANCE: f64 = 4e-6;

struct Layer {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    activation: Activation,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, has_bias: bool, activation: Activation) -> Self {
        let mut random = Random::new((inputs * 1000 + outputs) as u64);
        let weights = random.values(inputs * outputs, (3.0 / inputs as f32).sqrt());
        let bias = has_bias.then(|| random.values(outputs, 1.0));
        Self { inputs, outputs, weights, bias, activation }
    }

    fn compare_with_reference(&self, batch: usize) {
        let x = Random::new(batch as u64).values(batch * self.inputs, 1.0);
        let expected: Vec<f64> = x
            .chunks_exact(self.inputs)
            .flat_map(|row| {
                reference::linear::linear(row, &self.weights, self.bias.as_deref(), self.activation)
            })
            .collect();
        for set in usable_sets() {
            let (bias, activation) = (self.bias.as_deref(), self.activation);
            let layer = Linear::new(set, self.inputs, self.outputs, &self.weights, bias, activation);
            let mut y = vec![f32::NAN; batch * self.outputs];
            layer.expect("layer").run(&Serial, batch, &x, &mut y);
            let error = error(&y, &expected);
            assert!(
                error <= TOLERANCE,
                "{} -> {}, batch {batch}, {activation:?}, {}: error {error:e}",
                self.inputs,
                self.outputs,
                set.isa
            );
        }
    }
}

#[test]
fn awkward_sizes() {
    for inputs in [1, 3, 8, 16, 17, 33, 64, 2048] {
        for outputs in [1, 3, 8, 16, 17, 31, 33, 64, 114] {
            for batch in [1, 2, 5, 15] {
                Layer::new(inputs, outputs, true, Activation::Identity).compare_with_reference(batch);
            }
        }
    }
    Layer::new(2048, 1000, true, Activation::Identity).compare_with_reference(1);
    Layer::new(40, 21, true, Activation::Relu).compare_with_reference(150);
}

#[test]
fn every_epilogue() {
    for activation in Activation::ONE_OF_EACH {
        for has_bias in [false, true] {
            Layer::new(37, 45, has_bias, activation).compare_with_reference(3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_size(inputs in 1usize..200, outputs in 1usize..100, batch in 1usize..40, has_bias in any::<bool>()) {
        Layer::new(inputs, outputs, has_bias, Activation::Relu).compare_with_reference(batch);
    }
}

#[test]
fn bits_do_not_depend_on_batch_place_or_threads() {
    let layer = Layer::new(133, 77, true, Activation::Silu);
    let rows: Vec<_> = (0..70).map(|seed| Random::new(seed).values(133, 1.0)).collect();
    for set in usable_sets() {
        let bias = layer.bias.as_deref();
        let packed = Linear::new(set, 133, 77, &layer.weights, bias, layer.activation).expect("layer");
        let run = |threads, order: &[usize]| {
            let x: Vec<f32> = order.iter().flat_map(|i| rows[*i].clone()).collect();
            let mut y = vec![f32::NAN; order.len() * 77];
            packed.run(&Threads(threads), order.len(), &x, &mut y);
            y.chunks_exact(77).map(bits).collect::<Vec<_>>()
        };
        let alone: Vec<_> = (0..70).map(|i| run(1, &[i]).remove(0)).collect();
        let all: Vec<usize> = (0..70).rev().collect();
        for threads in [1, 2, 3, 8] {
            for order in [&[0][..], &[1, 0], &[3, 1, 4, 0, 2], &all] {
                for (i, row) in order.iter().zip(run(threads, order)) {
                    assert_eq!(row, alone[*i], "{}: row {i}, {threads} threads", set.isa);
                }
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_errors_that_name_them() {
    let set = usable_sets().last().expect("portable");
    let message = |inputs, outputs, weights: &[f32], bias| {
        let layer = Linear::new(set, inputs, outputs, weights, bias, Activation::Identity);
        layer.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(message(2, 3, &[0.0; 5], None).contains("expected 3 x 2 values, found 5"));
    assert!(message(2, 3, &[0.0; 6], Some(&[0.0; 2])).contains("expected 3 values, found 2"));
    assert!(message(0, 3, &[], None).contains("at least 1"));
    assert!(message(usize::MAX, 3, &[], None).contains("weights"));
}
