//! Convolution: each usable kernel set against the reference, and its results' independence of batch and
//! threads.

mod support;

use libvision_kernels::cpu::conv2d::{Conv2d, Conv2dSpec};
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::cpu::variants::{KernelSet, usable_sets};
use libvision_kernels::epilogue::{Activation, Epilogue};
use libvision_kernels::geometry::{Padding, Window};
use libvision_kernels::parallel::Serial;
use proptest::prelude::*;
use support::conv::{self, Case, Lanes, Layer, check_bits, fits, windows};
use support::error;

/// Largest error of a layer, relative to its largest value: sums of up to some thousand products.
const TOLERANCE: f64 = 4e-6;

fn compare_with_reference(case: Case, lanes: Lanes) {
    conv::compare_with_reference(case, lanes, "d", TOLERANCE);
}

#[test]
fn awkward_channels() {
    for inputs in [1, 3, 5, 8, 16, 17, 33, 64] {
        for outputs in [1, 3, 5, 8, 16, 17, 33, 64] {
            for window in [Window::square(1, 1, 0), Window::square(3, 1, 1)] {
                compare_with_reference(Case::new(inputs, outputs, window, [5, 4]), Lanes::Vector);
            }
        }
    }
}

#[test]
fn awkward_sizes() {
    for window in windows() {
        for size in [[1, 1], [2, 2], [7, 7], [14, 14], [15, 15], [28, 28], [3, 29], [17, 2]] {
            if fits(&window, size) {
                compare_with_reference(Case::new(5, 9, window, size), Lanes::Vector);
            }
        }
    }
}

#[test]
fn many_channels_take_several_k_blocks() {
    for (inputs, outputs, window) in [
        (515, 40, Window::square(1, 1, 0)),
        (1024, 33, Window::square(1, 1, 0)),
        (130, 20, Window::square(3, 1, 1)),
        (72, 17, Window::square(7, 1, 3)),
    ] {
        let case = Case::new(inputs, outputs, window, [4, 5]);
        compare_with_reference(case.epilogue(true, true, Activation::Relu), Lanes::Vector);
        compare_with_reference(case.epilogue(true, true, Activation::Silu), Lanes::Vector);
    }
}

#[test]
fn every_epilogue() {
    for activation in Activation::ONE_OF_EACH {
        for (bias, residual) in [(false, false), (false, true), (true, false), (true, true)] {
            let case = Case::new(17, 35, Window::square(3, 1, 1), [6, 7]);
            compare_with_reference(case.epilogue(bias, residual, activation), Lanes::Vector);
            let depthwise = Case::new(21, 21, Window::square(3, 1, 1), [6, 11]).grouped(21);
            compare_with_reference(depthwise.epilogue(bias, residual, activation), Lanes::Vector);
        }
    }
}

#[test]
fn groups() {
    for (inputs, outputs, groups) in
        [(4, 6, 2), (64, 64, 2), (32, 32, 8), (36, 36, 9), (6, 60, 6), (60, 6, 6), (128, 64, 4), (34, 51, 17)]
    {
        for window in [Window::square(1, 1, 0), Window::square(3, 2, 1)] {
            compare_with_reference(Case::new(inputs, outputs, window, [5, 6]).grouped(groups), Lanes::Vector);
        }
    }
}

#[test]
fn depthwise() {
    for channels in [2, 5, 8, 16, 17, 33, 64] {
        for window in windows() {
            for size in [[7, 7], [14, 9], [6, 29]] {
                if fits(&window, size) {
                    let case = Case::new(channels, channels, window, size).grouped(channels);
                    compare_with_reference(case, Lanes::Vector);
                }
            }
        }
    }
}

#[test]
fn small_groups() {
    for group in [2, 4, 8] {
        for groups in [2, 3, 8, 11] {
            for window in windows() {
                for size in [[7, 7], [6, 29]] {
                    if fits(&window, size) {
                        let case = Case::new(group * groups, group * groups, window, size).grouped(groups);
                        let case = case.epilogue(true, true, Activation::Relu);
                        compare_with_reference(case, Lanes::Vector);
                    }
                }
            }
        }
    }
    for set in usable_sets() {
        let layer = Layer::new(Case::new(32, 32, Window::square(3, 1, 1), [9, 9]).grouped(8), 1);
        assert_eq!(layer.prepare(set, Lanes::Vector).0.algorithm(), "direct, grouped");
    }
}

#[test]
fn interleaved_input() {
    for window in windows() {
        for size in [[15, 15], [28, 9]] {
            if fits(&window, size) {
                let case = Case::new(3, 20, window, size);
                compare_with_reference(case, Lanes::Interleaved(3));
                compare_with_reference(case, Lanes::Interleaved(4));
                compare_with_reference(
                    case.grouped(1).epilogue(false, true, Activation::Relu),
                    Lanes::Interleaved(3),
                );
            }
        }
    }
    compare_with_reference(
        Case::new(4, 6, Window::square(3, 1, 1), [5, 6]).grouped(2),
        Lanes::Interleaved(4),
    );
}

#[test]
fn the_preferred_lanes_are_accepted() {
    for set in usable_sets() {
        for inputs in [1, 3, 4, 9, 64] {
            let layer = Layer::new(Case::new(inputs, 8, Window::square(3, 1, 1), [5, 5]), 1);
            let lanes = Conv2d::preferred_input_lanes(set, &layer.geometry);
            let prepared = layer.prepare(set, Lanes::Interleaved(lanes));
            let got = layer.run(&prepared, &Serial, &[0]);
            assert!(error(&got[0], &layer.expected(0)) <= TOLERANCE);
        }
    }
}

/// Layers that differ in how they are cut into tasks and tiles.
fn layers_of_all_kinds() -> Vec<(Case, Lanes)> {
    let pointwise = Window::square(1, 1, 0);
    let three = Window::square(3, 1, 1);
    vec![
        (Case::new(19, 70, three, [30, 29]).epilogue(true, true, Activation::Relu), Lanes::Vector),
        (Case::new(520, 72, pointwise, [7, 7]).epilogue(true, true, Activation::Relu), Lanes::Vector),
        (Case::new(64, 96, pointwise, [14, 14]).epilogue(true, true, Activation::Silu), Lanes::Vector),
        (Case::new(40, 100, pointwise, [1, 1]).epilogue(true, false, Activation::Sigmoid), Lanes::Vector),
        (Case::new(33, 33, Window::square(3, 2, 1), [5, 3]), Lanes::Vector),
        (Case::new(3, 64, Window::square(7, 2, 3), [33, 31]), Lanes::Interleaved(3)),
        (
            Case::new(36, 36, three, [14, 13]).grouped(36).epilogue(true, true, Activation::Silu),
            Lanes::Vector,
        ),
        (Case::new(32, 64, three, [9, 9]).grouped(4), Lanes::Vector),
        (
            Case::new(40, 40, three, [14, 13]).grouped(10).epilogue(true, true, Activation::Relu),
            Lanes::Vector,
        ),
    ]
}

#[test]
fn bits_do_not_depend_on_batch_place_or_threads() {
    for (case, lanes) in layers_of_all_kinds() {
        check_bits(case, lanes);
    }
}

#[test]
fn weights_may_come_as_the_unaligned_bytes_of_a_file() {
    let three = Window::square(3, 1, 1);
    let winograd = (Case::new(35, 37, three, [28, 28]), Lanes::Vector);
    for (case, lanes) in layers_of_all_kinds().into_iter().chain([winograd]) {
        for set in usable_sets() {
            let layer = Layer::new(case, 1);
            let (conv, spec) = layer.prepare(set, lanes);
            let file: Vec<u8> =
                [7].into_iter().chain(layer.weights.iter().flat_map(|w| w.to_le_bytes())).collect();
            let from_file = Conv2d::new(set, spec, file[1..].as_chunks::<4>().0, layer.bias.as_deref());
            let from_file = (from_file.expect("the same layer"), spec);
            assert_eq!(
                layer.run(&from_file, &Serial, &[0]),
                layer.run(&(conv, spec), &Serial, &[0]),
                "{case:?} {}",
                set.isa
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_geometry(
        (channels, groups) in ((1usize..12, 1usize..12), 1usize..5),
        size in (1usize..20, 1usize..20),
        kernel in (1usize..6, 1usize..6),
        stride in (1usize..4, 1usize..4),
        dilation in (1usize..3, 1usize..3),
        padding in (0usize..4, 0usize..4, 0usize..4, 0usize..4),
        (bias, residual, activation) in (any::<bool>(), any::<bool>(), 0usize..7),
    ) {
        let window = Window {
            size: kernel.into(),
            stride: stride.into(),
            dilation: dilation.into(),
            padding: Padding { top: padding.0, left: padding.1, bottom: padding.2, right: padding.3 },
        };
        prop_assume!(fits(&window, size.into()));
        let case = Case::new(channels.0 * groups, channels.1 * groups, window, size.into()).grouped(groups);
        compare_with_reference(case.epilogue(bias, residual, Activation::ONE_OF_EACH[activation]), Lanes::Vector);
    }
}

/// A layer whose description can be spoilt.
fn small() -> (Layer, &'static KernelSet, Conv2dSpec) {
    let set = usable_sets().last().expect("the portable set");
    let layer = Layer::new(
        Case::new(3, 5, Window::square(3, 1, 1), [4, 6]).epilogue(true, true, Activation::Relu),
        1,
    );
    let spec = layer.spec(set, Lanes::Vector);
    (layer, set, spec)
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_them() {
    let (layer, set, spec) = small();
    let narrow = Padding { left: 0, ..spec.input.border };
    let spoilt = [
        (Conv2dSpec { input: BlockedShape { channels: 4, ..spec.input }, ..spec }, "input"),
        (Conv2dSpec { input: BlockedShape { width: 7, ..spec.input }, ..spec }, "input"),
        (Conv2dSpec { input: BlockedShape { lanes: 2, ..spec.input }, ..spec }, "lanes"),
        (Conv2dSpec { input: spec.input.with_border(narrow), ..spec }, "border"),
        (Conv2dSpec { output: BlockedShape { lanes: 1, ..spec.output }, ..spec }, "output"),
        (Conv2dSpec { output: BlockedShape { height: 3, ..spec.output }, ..spec }, "output"),
        (Conv2dSpec { residual: Some(BlockedShape { channels: 6, ..spec.output }), ..spec }, "residual"),
        (Conv2dSpec { residual: None, ..spec }, "epilogue"),
        (Conv2dSpec { epilogue: Epilogue { bias: false, ..spec.epilogue }, ..spec }, "epilogue"),
    ];
    for (spec, word) in spoilt {
        let error = Conv2d::new(set, spec, &layer.weights, layer.bias.as_deref()).err().expect(word);
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = Conv2d::new(set, spec, &layer.weights[1..], layer.bias.as_deref()).err().expect("weights");
    assert!(error.to_string().contains("expected 5 x 3 x 3 x 3 values, found 134"), "{error}");
    let error = Conv2d::new(set, spec, &layer.weights, Some(&[0.0; 4])).err().expect("bias");
    assert!(error.to_string().contains("expected 5 values, found 4"), "{error}");
}

#[test]
#[should_panic(expected = "input of a convolution")]
fn a_short_input_is_refused() {
    let (layer, set, spec) = small();
    let conv = Conv2d::new(set, spec, &layer.weights, layer.bias.as_deref()).expect("conv");
    let residual = vec![0.0; spec.output.len()];
    let mut output = vec![0.0; spec.output.len()];
    conv.run(&Serial, 1, &[0.0; 7], Some(&residual), &mut output, &mut []);
}

#[test]
#[should_panic(expected = "residual of a convolution")]
fn a_missing_residual_is_refused() {
    let (layer, set, spec) = small();
    let conv = Conv2d::new(set, spec, &layer.weights, layer.bias.as_deref()).expect("conv");
    let input = vec![0.0; spec.input.len()];
    let mut output = vec![0.0; spec.output.len()];
    conv.run(&Serial, 1, &input, None, &mut output, &mut []);
}
