//! Winograd convolution: each usable kernel set against the reference, and its results' independence of
//! batch and threads.

mod support;

use libvision_kernels::cpu::conv2d::{Conv2d, ConvAlgorithm, ConvOptions};
use libvision_kernels::cpu::variants::usable_sets;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Padding, Window};
use proptest::prelude::*;
use support::conv::{Case, Lanes, Layer, check_bits, compare_with_reference};

/// Largest error of a layer, relative to its largest value. F(4x4) errs most.
const TOLERANCE: f64 = 4e-5;

fn case(inputs: usize, outputs: usize, stride: usize, size: [usize; 2]) -> Case {
    Case { precise: false, ..Case::new(inputs, outputs, Window::square(3, stride, 1), size) }
}

#[test]
fn awkward_channels() {
    for inputs in [1, 3, 8, 17, 33, 64] {
        for outputs in [3, 8, 16, 17, 33, 64] {
            for stride in [1, 2] {
                let case = case(inputs, outputs, stride, [13, 14]);
                // Direct where that is cheaper.
                compare_with_reference(case, Lanes::Vector, "", TOLERANCE);
            }
        }
    }
}

#[test]
fn awkward_sizes() {
    let uneven = Padding { top: 2, left: 0, bottom: 0, right: 1 };
    for size in [[12, 12], [13, 15], [14, 31], [28, 28], [30, 9]] {
        for padding in [Padding::uniform(1), Padding::default(), uneven] {
            let case = case(19, 35, 1, size);
            let case = Case { window: Window { padding, ..case.window }, ..case };
            compare_with_reference(case, Lanes::Vector, "winograd", TOLERANCE);
        }
    }
    for (size, algorithm) in [
        ([6, 6], "winograd f2x2"),
        ([7, 7], "winograd f4x4 at use"),
        ([8, 7], "winograd f4x4 at use"),
        ([14, 13], "winograd f5x5"),
    ] {
        compare_with_reference(case(40, 40, 1, size), Lanes::Vector, algorithm, TOLERANCE);
    }
    for size in [[56, 56], [55, 57], [54, 60]] {
        for padding in [Padding::uniform(1), Padding::default(), uneven] {
            let case = case(33, 40, 2, size);
            let case = Case { window: Window { padding, ..case.window }, ..case };
            compare_with_reference(case, Lanes::Vector, "winograd f4x4 stride 2", TOLERANCE);
        }
    }
}

/// Channels that fill no vector, no panel or several chunks, and images that are cut into several blocks.
#[test]
fn weights_transformed_at_use() {
    for algorithm in [ConvAlgorithm::WinogradF4AtUse, ConvAlgorithm::WinogradF5] {
        let forced = |inputs: usize, outputs: usize, size: [usize; 2], activation: Activation| {
            let case = case(inputs, outputs, 1, size).epilogue(true, true, activation);
            Case { algorithm: Some(algorithm), ..case }
        };
        for size in [[1, 1], [5, 5], [9, 13], [14, 14], [31, 22]] {
            for (inputs, outputs) in [(1, 1), (8, 16), (17, 35), (130, 24), (300, 40)] {
                let case = forced(inputs, outputs, size, Activation::Relu);
                compare_with_reference(case, Lanes::Vector, algorithm.name(), TOLERANCE);
            }
        }
        check_bits(forced(150, 40, [23, 22], Activation::Silu), Lanes::Vector);
    }
}

fn stem(inputs: usize, outputs: usize, window: usize, padding: usize, size: [usize; 2]) -> Case {
    Case { precise: false, ..Case::new(inputs, outputs, Window::square(window, 2, padding), size) }
}

#[test]
fn stems_are_folded() {
    for size in [[64, 48], [63, 49], [50, 65], [51, 51]] {
        for (window, padding) in [(7, 3), (7, 2), (8, 4), (6, 1)] {
            let case = stem(3, 40, window, padding, size);
            compare_with_reference(case, Lanes::Interleaved(3), "winograd f4x4 folded", TOLERANCE);
        }
        for inputs in [1, 2, 4] {
            let case = stem(inputs, 35, 7, 3, size).epilogue(true, true, Activation::Silu);
            compare_with_reference(case, Lanes::Interleaved(inputs), "winograd f4x4 folded", TOLERANCE);
        }
        let uneven =
            Window { padding: Padding { top: 3, left: 0, bottom: 2, right: 4 }, ..Window::square(7, 2, 0) };
        let case = Case { window: Window { size: [7, 8], ..uneven }, ..stem(3, 40, 7, 3, size) };
        compare_with_reference(case, Lanes::Interleaved(3), "winograd f4x4 folded", TOLERANCE);
    }
    // Other windows and layouts are not.
    for (window, padding) in [(5, 2), (8, 3), (9, 4)] {
        compare_with_reference(
            stem(3, 40, window, padding, [50, 50]),
            Lanes::Interleaved(3),
            "direct",
            TOLERANCE,
        );
    }
    compare_with_reference(stem(3, 40, 7, 3, [50, 50]), Lanes::Interleaved(5), "direct", TOLERANCE);
    let precise = Case { precise: true, ..stem(3, 40, 7, 3, [50, 50]) };
    compare_with_reference(precise, Lanes::Interleaved(3), "direct", TOLERANCE);
}

#[test]
fn every_epilogue() {
    for activation in Activation::ONE_OF_EACH {
        for (bias, residual) in [(false, false), (false, true), (true, false), (true, true)] {
            for (size, algorithm) in [([14, 15], "winograd f5x5"), ([28, 27], "winograd f4x4")] {
                let case = case(17, 35, 1, size).epilogue(bias, residual, activation);
                compare_with_reference(case, Lanes::Vector, algorithm, TOLERANCE);
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_batch_place_or_threads() {
    for case in [
        case(19, 70, 1, [30, 29]).epilogue(true, true, Activation::Relu),
        case(40, 100, 1, [7, 7]).epilogue(true, true, Activation::Silu),
        case(40, 100, 1, [6, 6]),
        case(24, 130, 1, [14, 14]),
        case(33, 40, 2, [56, 56]).epilogue(true, true, Activation::Relu),
    ] {
        check_bits(case, Lanes::Vector);
    }
    check_bits(stem(3, 40, 7, 3, [65, 66]).epilogue(true, true, Activation::Relu), Lanes::Interleaved(3));
}

#[test]
fn the_precise_option_keeps_direct_convolution() {
    for set in usable_sets() {
        let fast = Layer::new(case(32, 32, 1, [28, 28]), 1);
        let precise = Layer::new(Case { precise: true, ..fast.case }, 1);
        assert_eq!(precise.prepare(set, Lanes::Vector).0.algorithm(), "direct");
        assert_eq!(fast.prepare(set, Lanes::Vector).0.algorithm(), "winograd f4x4");
        // An interleaved input is not what the transforms read.
        let stem = Layer::new(case(3, 32, 1, [28, 28]), 1);
        assert_eq!(stem.prepare(set, Lanes::Interleaved(3)).0.algorithm(), "direct");
    }
}

#[test]
fn what_is_asked_for_is_done_whatever_it_costs() {
    for (stride, expected) in [(1, 5), (2, 2), (3, 0)] {
        // Small enough that direct convolution would be taken.
        let case = case(5, 7, stride, [5, 4]);
        let candidates = Conv2d::candidates(&Layer::new(case, 0).geometry, false);
        assert_eq!(candidates.len(), expected, "stride {stride}: {candidates:?}");
        for algorithm in candidates {
            let case = Case { algorithm: Some(algorithm), ..case };
            compare_with_reference(case, Lanes::Vector, algorithm.name(), TOLERANCE);
            compare_with_reference(case, Lanes::Interleaved(5), "", TOLERANCE);
        }
    }
    let grouped = case(16, 16, 1, [9, 9]).grouped(16);
    assert!(Conv2d::candidates(&Layer::new(grouped, 0).geometry, false).is_empty());
}

#[test]
fn an_algorithm_that_cannot_compute_it_is_refused() {
    let set = usable_sets().last().expect("portable");
    let wide = Case { window: Window::square(5, 1, 2), ..case(8, 8, 1, [9, 9]) };
    for (case, precise, algorithm, accepted) in [
        (
            case(8, 8, 1, [9, 9]),
            false,
            ConvAlgorithm::WinogradF4Stride2,
            "direct, winograd f2x2, winograd f4x4, winograd f4x4 at use, winograd f5x5",
        ),
        (case(8, 8, 1, [9, 9]), true, ConvAlgorithm::WinogradF2, ""),
        (case(8, 8, 1, [9, 9]).grouped(8), false, ConvAlgorithm::Direct, ""),
        (wide, false, ConvAlgorithm::WinogradF4, ""),
    ] {
        let layer = Layer::new(Case { algorithm: Some(algorithm), precise, ..case }, 0);
        let spec = layer.spec(set, Lanes::Vector);
        let error = Conv2d::new(set, spec, &layer.weights, layer.bias.as_deref()).err().expect("an error");
        let expected = format!("one of [{accepted}], which can compute it, found {}", algorithm.name());
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn the_border_of_direct_convolution_is_too_small() {
    let set = usable_sets().last().expect("portable");
    let layer = Layer::new(case(32, 32, 1, [13, 13]), 1);
    let mut spec = layer.spec(set, Lanes::Vector);
    let precise = ConvOptions { precise: true, ..ConvOptions::default() };
    spec.input = spec.input.with_border(Conv2d::input_border(set, &layer.geometry, precise));
    let error = Conv2d::new(set, spec, &layer.weights, layer.bias.as_deref()).err().expect("an error");
    assert!(error.to_string().contains("border"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_geometry(
        (inputs, outputs) in (1usize..50, 1usize..50),
        size in (3usize..34, 3usize..34),
        stride in 1usize..3,
        padding in (0usize..3, 0usize..3, 0usize..3, 0usize..3),
        (residual, activation) in (any::<bool>(), 0usize..7),
    ) {
        let padding = Padding { top: padding.0, left: padding.1, bottom: padding.2, right: padding.3 };
        let case = case(inputs, outputs, stride, size.into());
        let case = Case { window: Window { padding, ..case.window }, ..case };
        let case = case.epilogue(true, residual, Activation::ONE_OF_EACH[activation]);
        compare_with_reference(case, Lanes::Vector, "", TOLERANCE);
    }
}
