//! Element-wise functions: each usable kernel set against the reference.

mod support;

use libvision_kernels::cpu::elementwise::Elementwise;
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::cpu::variants::{KernelSet, usable_sets};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{GeometryError, Padding};
use libvision_kernels::parallel::Serial;
use libvision_kernels::reference;
use support::{Random, SENTINEL, Threads, bits, blocked, error, plain};

/// Largest error, relative to the largest value: an exponential and a division.
const TOLERANCE: f64 = 1e-6;

const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [3, 2, 5], [17, 1, 1], [16, 7, 7], [33, 3, 14], [1000, 1, 1]];

/// The kernel set's layout, and the plain one.
fn layouts(set: &KernelSet, [channels, height, width]: [usize; 3]) -> [[BlockedShape; 3]; 2] {
    let borders = [
        Padding { top: 1, left: 0, bottom: 2, right: 1 },
        Padding::uniform(1),
        Padding { top: 0, left: 3, bottom: 0, right: 0 },
    ];
    [set.lanes, 1].map(|lanes| {
        borders.map(|border| BlockedShape::new(channels, height, width, lanes).with_border(border))
    })
}

#[test]
fn activations() {
    for size in SIZES {
        let count = size.iter().product();
        let mut x = Random::new(3).values(count, 6.0);
        // Values at which a careless exponential overflows or is lost.
        for (value, extreme) in x.iter_mut().skip(1).zip([-1e30, 1e30, -100.0, 100.0, -88.5, 0.0]) {
            *value = extreme;
        }
        for activation in Activation::ONE_OF_EACH {
            let expected = reference::elementwise::activate(activation, &x);
            for set in usable_sets() {
                for [a, _, output] in layouts(set, size) {
                    let layer = Elementwise::activate(set, activation, a, output).expect("layer");
                    let mut y = vec![SENTINEL; output.len()];
                    layer.run(&Serial, 1, &blocked(&a, &[&x]), None, &mut y);
                    let got = plain(&output, 1, &y);
                    for ((got, expected), x) in got[0].iter().zip(&expected).zip(&x) {
                        // The single value, so that the large ones do not hide the others.
                        let error = error(&[*got], &[*expected]);
                        assert!(error <= TOLERANCE, "{activation:?}({x}): {got}, {expected}, {}", set.isa);
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for set in usable_sets() {
        for activation in Activation::ONE_OF_EACH {
            let shape = BlockedShape::plain(1, 1, 3);
            let layer = Elementwise::activate(set, activation, shape, shape).expect("layer");
            let mut y = [0.0; 3];
            layer.run(&Serial, 1, &[f32::NAN, 1.0, f32::NAN], None, &mut y);
            assert!(y[0].is_nan() && !y[1].is_nan() && y[2].is_nan(), "{activation:?} {}: {y:?}", set.isa);
        }
    }
}

#[test]
fn sums_and_products() {
    for size in SIZES {
        let [channels, height, width] = size;
        let a = Random::new(5).values(channels * height * width, 2.0);
        for is_per_channel in [false, true] {
            let b_size = if is_per_channel { [channels, 1, 1] } else { size };
            let b = Random::new(6).values(b_size.iter().product(), 2.0);
            for set in usable_sets() {
                for [shape_a, shape_b, output] in layouts(set, size) {
                    let shape_b = BlockedShape { height: b_size[1], width: b_size[2], ..shape_b };
                    let relu = Activation::Relu;
                    for (layer, expected) in [
                        (
                            Elementwise::add(set, relu, shape_a, shape_b, output),
                            reference::elementwise::add(relu, &a, &b),
                        ),
                        (
                            Elementwise::mul(set, shape_a, shape_b, output),
                            reference::elementwise::mul(&a, &b),
                        ),
                    ] {
                        let mut y = vec![SENTINEL; output.len()];
                        let (a, b) = (blocked(&shape_a, &[&a]), blocked(&shape_b, &[&b]));
                        layer.expect("layer").run(&Serial, 1, &a, Some(&b), &mut y);
                        let got = plain(&output, 1, &y);
                        assert!(error(&got[0], &expected) <= TOLERANCE, "{size:?} {}", set.isa);
                    }
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_batch_place_or_threads() {
    let size = [21, 60, 50];
    let image = |seed| Random::new(seed).values(size.iter().product(), 3.0);
    let scale = |seed| Random::new(seed + 100).values(size[0], 3.0);
    for set in usable_sets() {
        let [[a, b, output], _] = layouts(set, size);
        let b = BlockedShape { height: 1, width: 1, ..b };
        let layer = Elementwise::add(set, Activation::Silu, a, b, output).expect("layer");
        let run = |threads, seeds: &[u64]| {
            let images: Vec<_> = seeds.iter().map(|s| image(*s)).collect();
            let scales: Vec<_> = seeds.iter().map(|s| scale(*s)).collect();
            let images = blocked(&a, &images.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let scales = blocked(&b, &scales.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut y = vec![SENTINEL; seeds.len() * output.len()];
            layer.run(&Threads(threads), seeds.len(), &images, Some(&scales), &mut y);
            plain(&output, seeds.len(), &y).iter().map(|image| bits(image)).collect::<Vec<_>>()
        };
        let alone: Vec<_> = (0..3).map(|seed| run(1, &[seed]).remove(0)).collect();
        for threads in [1, 2, 3, 8] {
            assert_eq!(run(threads, &[0, 1, 2]), alone);
            assert_eq!(run(threads, &[2]), alone[2..]);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_them() {
    let set = usable_sets().last().expect("portable");
    let shape = BlockedShape::new(8, 4, 4, set.lanes);
    let message =
        |layer: Result<Elementwise, GeometryError>| layer.err().map(|e| e.to_string()).unwrap_or_default();
    let other = BlockedShape { channels: 9, ..shape };
    assert!(message(Elementwise::activate(set, Activation::Relu, shape, other)).contains("output"));
    assert!(message(Elementwise::mul(set, shape, other, shape)).contains("second operand"));
    let lanes = BlockedShape { lanes: 1, ..shape };
    assert!(message(Elementwise::add(set, Activation::Relu, shape, lanes, shape)).contains("second operand"));
}
