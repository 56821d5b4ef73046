//! Pooling: each usable kernel set against the reference.

mod support;

use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::cpu::pool2d::Pool2d;
use libvision_kernels::cpu::variants::usable_sets;
use libvision_kernels::geometry::{GeometryError, Padding, Pool2dGeometry, Window};
use libvision_kernels::parallel::{Parallel, Serial};
use libvision_kernels::reference;
use proptest::prelude::*;
use support::{Random, SENTINEL, Threads, bits, blocked, error, plain};

/// Largest error of a mean, relative to its largest value.
const TOLERANCE: f64 = 1e-6;

/// A border that pooling must neither read nor write.
const BORDER: Padding = Padding { top: 1, left: 2, bottom: 0, right: 1 };

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Max,
    Average,
    AverageWithBorder,
}

const KINDS: [Kind; 3] = [Kind::Max, Kind::Average, Kind::AverageWithBorder];

fn expected(kind: Kind, g: &Pool2dGeometry, image: &[f32]) -> Vec<f64> {
    match kind {
        Kind::Max => reference::pool2d::max_pool(g, image),
        Kind::Average => reference::pool2d::average_pool(g, false, image),
        Kind::AverageWithBorder => reference::pool2d::average_pool(g, true, image),
    }
}

fn run(
    pool: Result<Pool2d, GeometryError>,
    shapes: [BlockedShape; 2],
    parallel: &dyn Parallel,
    images: &[&[f32]],
) -> Vec<Vec<f32>> {
    let [input, output] = shapes;
    let mut tensor = blocked(&input, images);
    // The border must not win, and must not enter a mean.
    let inside = blocked(&input.with_border(Padding::default()), images);
    if tensor.len() > inside.len() {
        let mut plain = vec![0.0; images.len() * input.channels * input.height * input.width];
        libvision_kernels::cpu::layout::to_nchw(&Serial, &input, images.len(), &tensor, &mut plain);
        tensor.fill(1e9);
        libvision_kernels::cpu::layout::from_nchw(&Serial, &input, images.len(), &plain, &mut tensor);
    }
    let mut result = vec![SENTINEL; images.len() * output.len()];
    let pool = pool.expect("pool");
    let mut workspace = vec![SENTINEL; pool.workspace_len()];
    pool.run(parallel, images.len(), &tensor, &mut result, &mut workspace);
    plain(&output, images.len(), &result)
}

fn compare_with_reference(channels: usize, window: Window, size: [usize; 2]) {
    let g = Pool2dGeometry::new(channels, window, size).expect("geometry");
    let image = Random::new(channels as u64).values(channels * size[0] * size[1], 1.0);
    for set in usable_sets() {
        let shape = |[h, w]: [usize; 2]| BlockedShape::new(channels, h, w, set.lanes).with_border(BORDER);
        let shapes = [shape(g.input), shape(g.output)];
        for kind in KINDS {
            let pool = match kind {
                Kind::Max => Pool2d::max_pool(set, &g, shapes[0], shapes[1]),
                Kind::Average => Pool2d::average_pool(set, &g, false, shapes[0], shapes[1]),
                Kind::AverageWithBorder => Pool2d::average_pool(set, &g, true, shapes[0], shapes[1]),
            };
            let got = run(pool, shapes, &Serial, &[&image]);
            let error = error(&got[0], &expected(kind, &g, &image));
            let limit = if kind == Kind::Max { 0.0 } else { TOLERANCE };
            assert!(
                error <= limit,
                "{kind:?}, {channels} channels of {size:?}, {window:?}, {}: error {error:e}",
                set.isa
            );
        }
    }
}

fn window(size: [usize; 2], stride: [usize; 2], dilation: [usize; 2], padding: Padding) -> Window {
    Window { size, stride, dilation, padding }
}

#[test]
fn awkward_windows_and_sizes() {
    let uneven = Padding { top: 1, left: 0, bottom: 2, right: 1 };
    for channels in [1, 5, 16, 33] {
        for size in [[1, 1], [2, 2], [7, 7], [14, 15], [28, 5]] {
            for window in [
                Window::square(1, 1, 0),
                Window::square(2, 2, 0),
                Window::square(3, 2, 1),
                Window::square(3, 1, 1),
                window([2, 3], [3, 1], [1, 2], uneven),
                window([3, 2], [1, 2], [2, 1], uneven),
            ] {
                let is_possible = Pool2dGeometry::new(channels, window, size).is_ok_and(|g| {
                    let shape = |[h, w]: [usize; 2]| BlockedShape::new(channels, h, w, 8);
                    let portable = usable_sets().last().expect("portable");
                    Pool2d::max_pool(portable, &g, shape(g.input), shape(g.output)).is_ok()
                });
                if is_possible {
                    compare_with_reference(channels, window, size);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_geometry(
        channels in 1usize..40,
        size in (1usize..16, 1usize..16),
        (kernel, stride, dilation) in ((1usize..5, 1usize..5), (1usize..4, 1usize..4), (1usize..3, 1usize..3)),
        padding in 0usize..2,
    ) {
        let window = window(kernel.into(), stride.into(), dilation.into(), Padding::uniform(padding));
        let size: [usize; 2] = size.into();
        prop_assume!(window.output_size(size[0], size[1]).is_ok());
        // A window wholly in the border has no value.
        prop_assume!(padding == 0 || (kernel.0 > 1 && kernel.1 > 1 && size[0] > 2 && size[1] > 2));
        compare_with_reference(channels, window, size);
    }
}

#[test]
fn global_average() {
    for channels in [1, 3, 8, 17, 64] {
        for [height, width] in [[1, 1], [2, 3], [7, 7], [15, 4], [37, 2]] {
            let image = Random::new(7).values(channels * height * width, 1.0);
            let expected = reference::pool2d::global_average_pool(channels, &image);
            for set in usable_sets() {
                for lanes in [1, set.lanes] {
                    let shapes = [
                        BlockedShape::new(channels, height, width, set.lanes).with_border(BORDER),
                        BlockedShape::new(channels, 1, 1, lanes),
                    ];
                    let [input, output] = shapes;
                    let mut result = vec![SENTINEL; 2 * output.len()];
                    let pool = Pool2d::global_average_pool(set, input, output).expect("pool");
                    let mut workspace = vec![SENTINEL; pool.workspace_len()];
                    let images = blocked(&input, &[&image, &image]);
                    pool.run(&Serial, 2, &images, &mut result, &mut workspace);
                    for image in result.chunks_exact(output.len()) {
                        assert!(error(&image[..channels], &expected) <= TOLERANCE, "{channels} {}", set.isa);
                    }
                }
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_batch_place_or_threads() {
    let g = Pool2dGeometry::new(37, Window::square(3, 2, 1), [13, 9]).expect("geometry");
    let images: Vec<_> = (1..6).map(|seed| Random::new(seed).values(37 * 13 * 9, 1.0)).collect();
    for set in usable_sets() {
        let shape = |[h, w]: [usize; 2]| BlockedShape::new(37, h, w, set.lanes).with_border(BORDER);
        let shapes = [shape(g.input), shape(g.output)];
        let global = BlockedShape::new(37, 1, 1, 1);
        for (pool, shapes) in [
            (Pool2d::average_pool(set, &g, false, shapes[0], shapes[1]), shapes),
            (Pool2d::max_pool(set, &g, shapes[0], shapes[1]), shapes),
            (Pool2d::global_average_pool(set, shapes[0], global), [shapes[0], global]),
        ] {
            let pool = pool.expect("pool");
            let alone: Vec<_> =
                images.iter().map(|image| bits(&run(Ok(pool), shapes, &Serial, &[image])[0])).collect();
            for order in [&[0][..], &[1, 0], &[3, 1, 4, 0, 2]] {
                let batch: Vec<&[f32]> = order.iter().map(|i| images[*i].as_slice()).collect();
                for threads in [1, 2, 3, 8] {
                    let got = run(Ok(pool), shapes, &Threads(threads), &batch);
                    for (i, result) in order.iter().zip(&got) {
                        assert_eq!(bits(result), alone[*i], "{} {threads} threads", set.isa);
                    }
                }
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_them() {
    let set = usable_sets().last().expect("portable");
    let g = Pool2dGeometry::new(8, Window::square(3, 2, 1), [8, 8]).expect("geometry");
    let shape = |[h, w]: [usize; 2]| BlockedShape::new(8, h, w, set.lanes);
    let (input, output) = (shape(g.input), shape(g.output));
    let error = |result: Result<Pool2d, GeometryError>| result.err().expect("an error").to_string();
    assert!(error(Pool2d::max_pool(set, &g, output, output)).contains("input of a pooling"));
    assert!(error(Pool2d::max_pool(set, &g, input, input)).contains("output of a pooling"));
    let plain = BlockedShape::plain(8, 8, 8);
    assert!(error(Pool2d::max_pool(set, &g, plain, output)).contains("lanes"));
    assert!(error(Pool2d::global_average_pool(set, input, output)).contains("1 x 1"));
    let outside = Pool2dGeometry::new(8, Window::square(2, 1, 2), [8, 8]).expect("geometry");
    let result = Pool2d::max_pool(set, &outside, input, shape(outside.output));
    assert!(error(result).contains("wholly outside"));
}
