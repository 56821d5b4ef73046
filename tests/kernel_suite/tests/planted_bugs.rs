//! Mistakes that people make in kernels, planted one at a time: each must be caught, or the tests of the
//! family prove less than they seem to.

use anyhow::{Context, Result, anyhow, ensure};
use libvision_cuda_emulator::{Change, Emulator};
use libvision_kernel_suite::conv::{Layer, geometry};
use libvision_kernel_suite::numbers::{Random, compare, rounded};
use libvision_kernel_suite::pair::{self, run_pair};
use libvision_kernel_suite::picture::{Picture, expected, preprocess, random_picture};
use libvision_kernel_suite::pool::run_pool;
use libvision_kernel_suite::scores::{best, run_linear, run_softmax};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::linear::Linear;
use libvision_kernels::cuda::resize::{Placement, Resize};
use libvision_kernels::cuda::window::{Operation, Pair, Pooling};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Padding, Pool2dGeometry, Window};
use libvision_kernels::reference;
use libvision_kernels::reference::normalize::Planes;
use libvision_kernels::reference::pool2d;
use libvision_kernels::reference::resize::{Filter, ResizeGeometry};

struct Bug {
    what: &'static str,
    change: Change,
    probe: fn(&Emulator) -> Result<()>,
}

const fn bug(
    what: &'static str,
    probe: fn(&Emulator) -> Result<()>,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Bug {
    Bug { what, change: Change { file, from, to }, probe }
}

/// THE list.
const BUGS: &[Bug] = &[
    bug(
        "the barrier of the main loop is missing",
        convolution,
        "conv2d.cu",
        "being read any more.\n    block_barrier();",
        "\n",
    ),
    bug(
        "the wait for asynchronous copies is missing",
        convolution,
        "conv2d.cu",
        "wait_copies<STAGES - 2>();",
        "",
    ),
    bug(
        "one group of copies too many may be under way",
        convolution,
        "conv2d.cu",
        "wait_copies<STAGES - 2>",
        "wait_copies<STAGES - 1>",
    ),
    bug(
        "no group is committed once all slabs are under way",
        convolution,
        "conv2d.cu",
        "slab + STAGES - 1, next_stage);\n    } else {\n      commit_copies();",
        "slab + STAGES - 1, next_stage);\n    } else {\n",
    ),
    bug(
        "results are staged while others still multiply",
        convolution,
        "conv2d.cu",
        "wait_copies<0>();\n  block_barrier();",
        "wait_copies<0>();",
    ),
    bug(
        "the next slab is copied over the current one",
        convolution,
        "conv2d.cu",
        "next_stage = (STAGES - 1) * T",
        "next_stage = (STAGES - 2) * T",
    ),
    bug(
        "writer and reader swizzle differently",
        convolution,
        "conv2d.cu",
        "swizzled<CHUNK_BYTES>(first_row + pass * ROWS_AT_ONCE, chunk)",
        "swizzled<CHUNK_BYTES>(first_row + pass, chunk)",
    ),
    bug(
        "no swizzle: right, but four times the bank passes",
        convolution,
        "conv2d_tile.cuh",
        "(whole ^ (row / 2 % 4)) * 16",
        "whole * 16",
    ),
    bug(
        "the weights start where pixels lie",
        convolution,
        "conv2d.cu",
        "stage + T::ROWS * SLAB_BYTES, first_channel",
        "stage + T::ROWS * SLAB_BYTES / 2, first_channel",
    ),
    bug(
        "the kernel counts more stages than the launch",
        convolution,
        "conv2d_tile.cuh",
        "STAGES = 3",
        "STAGES = 4",
    ),
    bug(
        "a copy's target is not aligned",
        convolution,
        "conv2d_tile.cuh",
        "stage + swizzled<16>(row, chunk), weights",
        "stage + swizzled<16>(row, chunk) + 8, weights",
    ),
    bug(
        "ldmatrix: rows and halves of the right matrix swapped",
        convolution,
        "conv2d_tile.cuh",
        "lane % 8 + lane / 16 * 8, chunk + lane / 8 % 2",
        "lane % 16, chunk + lane / 16",
    ),
    bug(
        "ldmatrix: left rows of the wrong lanes",
        convolution,
        "conv2d_tile.cuh",
        "i * 16 + lane % 16, chunk + lane / 16",
        "i * 16 + lane / 2, chunk + lane % 2",
    ),
    bug(
        "a fragment is stored by the wrong lane's column",
        convolution,
        "conv2d_tile.cuh",
        "j * 8 + lane % 4 * 2;\n        store",
        "j * 8 + lane % 4;\n        store",
    ),
    bug(
        "lower and upper half of a fragment swapped",
        convolution,
        "conv2d_tile.cuh",
        "F32x2{sums.values[i][j][half * 2], sums.values[i][j][half * 2 + 1]}",
        "F32x2{sums.values[i][j][half], sums.values[i][j][half + 2]}",
    ),
    bug(
        "staged results are read before the warp met",
        convolution,
        "conv2d_tile.cuh",
        "    warp_barrier();\n    NO_UNROLL",
        "    NO_UNROLL",
    ),
    bug(
        "staged results are overwritten before the warp met",
        convolution,
        "conv2d_tile.cuh",
        "    warp_barrier();\n  }\n}",
        "  }\n}",
    ),
    bug(
        "half a warp skips a warp barrier",
        convolution,
        "conv2d_tile.cuh",
        "    warp_barrier();\n    NO_UNROLL",
        "    if (lane < 16) warp_barrier();\n    NO_UNROLL",
    ),
    bug(
        "half a block skips a barrier",
        convolution,
        "conv2d.cu",
        "being read any more.\n    block_barrier();",
        "\n    if (thread < 64) block_barrier();",
    ),
    bug(
        "the halo is one row too tall",
        convolution,
        "conv2d.cu",
        "static_cast<u32>(row) < arguments.in_height",
        "static_cast<u32>(row) <= arguments.in_height",
    ),
    bug(
        "the halo is one column too narrow",
        convolution,
        "conv2d.cu",
        "static_cast<u32>(column) < arguments.in_width",
        "static_cast<u32>(column) + 1 < arguments.in_width",
    ),
    bug(
        "the tail tile is not guarded: pixels",
        convolution,
        "conv2d_tile.cuh",
        "pixel < arguments.pixels && channel",
        "channel",
    ),
    bug(
        "the tail tile is not guarded: channels",
        convolution,
        "conv2d_tile.cuh",
        "arguments.pixels && channel < end_channel",
        "arguments.pixels",
    ),
    bug(
        "the tail tile is not guarded: weights",
        convolution,
        "conv2d_tile.cuh",
        "bool exists = channel < end_channel;",
        "bool exists = true;\n    (void)end_channel;",
    ),
    bug(
        "rows are stepped by the stride of columns",
        convolution,
        "conv2d.cu",
        "row * arguments.stride_rows",
        "row * arguments.stride_columns",
    ),
    bug(
        "the dilation of rows is forgotten",
        convolution,
        "conv2d.cu",
        "down = filter_row * arguments.dilation_rows",
        "down = filter_row",
    ),
    bug(
        "every group reads the first group's channels",
        convolution,
        "conv2d.cu",
        "u64{group} * arguments.group_inputs",
        "u64{0} * group",
    ),
    bug(
        "the next image starts one row late",
        convolution,
        "conv2d.cu",
        "image * arguments.in_height}",
        "image * (arguments.in_height + 1)}",
    ),
    bug(
        "the residual is that of another channel",
        convolution,
        "epilogue.cuh",
        "epilogue.residual, index);",
        "epilogue.residual, index ^ 8);",
    ),
    bug(
        "the residual is added after the activation",
        convolution,
        "epilogue.cuh",
        "values[i] += residual[i];",
        "values[i] = (values[i] < 0 ? 0 : values[i]) + residual[i];",
    ),
    bug(
        "the bias is left out",
        convolution,
        "epilogue.cuh",
        "values[i] += bias[i];",
        "values[i] += 0 * bias[i];",
    ),
    bug(
        "a window reads one row too many",
        windows,
        "window.cu",
        "row >= arguments.in_height",
        "row > arguments.in_height",
    ),
    bug(
        "pooling starts from zero",
        windows,
        "window.cu",
        "largest[i] = float_from_bits(0xff800000u)",
        "largest[i] = 0.0f",
    ),
    bug(
        "the border counts when it should not",
        windows,
        "window.cu",
        "arguments.count_border != 0",
        "arguments.count_border == 0",
    ),
    bug(
        "the last block is not guarded",
        windows,
        "window.cu",
        "bool exists = number < arguments.items;",
        "bool exists = true;",
    ),
    bug(
        "the weights of a depthwise tap are those of the one before",
        windows,
        "window.cu",
        "u64{tap} * arguments.channels + channel",
        "u64{tap / 2} * arguments.channels + channel",
    ),
    bug(
        "one factor serves all images of a batch",
        pairs,
        "window.cu",
        "u64{right_pixel} * arguments.channels",
        "u64{right_pixel / arguments.items} * arguments.channels",
    ),
    bug(
        "what fills up the channels is not cleared",
        pairs,
        "window.cu",
        "+ i < arguments.meant_channels",
        "+ i < arguments.channels",
    ),
    bug(
        "half of a warp's sums are left out",
        scores,
        "linear.cu",
        "difference = 16; difference > 0",
        "difference = 8; difference > 0",
    ),
    bug(
        "rows beyond the last are stored",
        scores,
        "linear.cu",
        "exists && row < arguments.rows && lane == 0",
        "exists && lane == 0",
    ),
    bug(
        "every lane stores the sum",
        scores,
        "linear.cu",
        "row < arguments.rows && lane == 0",
        "row < arguments.rows",
    ),
    bug(
        "the warps' results are read before the block met",
        scores,
        "rows.cu",
        "store_shared(thread_index() / 32 * 4, value);\n  block_barrier();",
        "store_shared(thread_index() / 32 * 4, value);",
    ),
    bug(
        "the warps' results are overwritten while others read them",
        scores,
        "rows.cu",
        "  block_barrier();\n  if (thread_index() % 32 == 0) store_shared(thread_index() / 32 * 4, value);",
        "  if (thread_index() % 32 == 0) store_shared(thread_index() / 32 * 4, value);",
    ),
    bug(
        "equal scores come in the wrong order",
        scores,
        "rows.cu",
        "<< 32 | (0xffffffffu - column)",
        "<< 32 | column",
    ),
    bug(
        "NaN is taken for the best",
        scores,
        "rows.cu",
        "score != score ? 0 :",
        "score != score ? 0xffffffffu :",
    ),
    bug(
        "sums start without half a unit",
        pictures,
        "resize_normalize.cu",
        "red = 1u << (PRECISION_BITS - 1)",
        "red = 0",
    ),
    bug(
        "an overshooting sum wraps",
        pictures,
        "resize_normalize.cu",
        "(value > 255 ? 255 : value)",
        "value & 255",
    ),
    bug(
        "lines are overwritten while others read them",
        pictures,
        "resize_normalize.cu",
        "    }\n    block_barrier();\n  }\n  return sums",
        "    }\n  }\n  return sums",
    ),
    bug(
        "lines are read before they are made",
        pictures,
        "resize_normalize.cu",
        "    block_barrier();\n    u32 from",
        "    u32 from",
    ),
    bug(
        "the last source line is read twice as far",
        pictures,
        "resize_normalize.cu",
        "end = end > second.source ? second.source : end;",
        "",
    ),
    bug(
        "passes in the same order for every picture",
        pictures,
        "resize_normalize.cu",
        "bool rows_first = picture.rows_first != 0;",
        "bool rows_first = false;",
    ),
    bug(
        "the canvas has no edge",
        pictures,
        "resize_normalize.cu",
        "on_canvas ? picture.fill : 0",
        "on_canvas || true ? picture.fill : 0",
    ),
    bug(
        "stored channels beyond the third are left as they were",
        pictures,
        "resize_normalize.cu",
        "u32 channel = 3; channel <",
        "u32 channel = 3; channel + 1 <",
    ),
];

/// A few layers that reach every part of the convolution kernels.
fn convolution(emulator: &Emulator) -> Result<()> {
    let lopsided = Window {
        size: [2, 3],
        stride: [1, 2],
        dilation: [3, 1],
        padding: Padding { top: 2, left: 0, bottom: 1, right: 3 },
    };
    let layers = [
        // 16 slabs: the last one lies where results are staged.
        geometry(56, 72, 1, Window::square(3, 1, 1), [11, 12]),
        geometry(16, 24, 1, lopsided, [13, 14]),
        geometry(64, 64, 8, Window::square(3, 1, 1), [5, 5]),
    ];
    for g in layers {
        let layer = Layer::exact(g, 2, Activation::Relu, true);
        let (found, counts) = layer.run(emulator, Element::F16, 7)?;
        let expected: Vec<f64> =
            layer.expected().iter().map(|x| f64::from(rounded(Element::F16, *x as f32))).collect();
        compare(&found, &expected, |_| 0.0)?;
        ensure!(counts.bank_conflicts == 0, "{} bank conflicts", counts.bank_conflicts);
    }
    Ok(())
}

#[test]
fn every_planted_bug_is_caught() -> Result<()> {
    let middle = BUGS.len() / 2;
    let missed = std::thread::scope(|scope| {
        let first = scope.spawn(|| missed(&BUGS[..middle]));
        let second = missed(&BUGS[middle..])?;
        let first = first.join().map_err(|_| anyhow!("a testing thread panicked"))??;
        anyhow::Ok([first, second].concat())
    })?;
    ensure!(missed.is_empty(), "not caught: {missed:#?}");
    Ok(())
}

/// Depthwise convolution and pooling.
fn windows(emulator: &Emulator) -> Result<()> {
    let window = Window::square(3, 2, 1);
    let g = geometry(20, 20, 20, window, [9, 12]);
    let layer = Layer::exact(g, 2, Activation::Relu, false);
    let found = layer.run_depthwise(emulator, Element::F32, 8)?;
    compare(&found, &layer.expected(), |_| 0.0)?;
    let pool = Pool2dGeometry::new(20, window, [9, 12])?;
    // All below zero, where a border of zeros would win.
    let x: Vec<f32> = Random(9).grid(20 * 108, 1.0 / 64.0).iter().map(|x| x - 2.0).collect();
    compare(
        &run_pool(emulator, &pool, Pooling::Max, Element::F16, &x)?,
        &pool2d::max_pool(&pool, &x),
        |_| 1e-2,
    )?;
    let average = Pooling::Average { count_border: false };
    let expected = pool2d::average_pool(&pool, false, &x);
    compare(&run_pool(emulator, &pool, average, Element::F32, &x)?, &expected, |_| 1e-5)
}

/// A product of images and one factor for each channel of each.
fn pairs(emulator: &Emulator) -> Result<()> {
    let (channels, pixels, element) = (9, 6, Element::F32);
    let (operation, activation) = (Operation::Multiply, Activation::Identity);
    let pair = Pair { operation, channels, pixels, right_is_whole: false, element, activation };
    let mut random = Random(12);
    let (left, right) = (random.grid(2 * 9 * 6, 1.0 / 64.0), random.grid(2 * 9, 1.0 / 64.0));
    let expected = pair::expected(&pair, [&left, &right], |left, right| left * right);
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    compare(&run_pair(emulator, &pair, [&left, &right])?, &expected, |_| 0.0)
}

/// Fully connected, softmax, top-k.
fn scores(emulator: &Emulator) -> Result<()> {
    let layer = Linear { inputs: 300, outputs: 10, element: Element::F16, activation: Activation::Identity };
    let mut random = Random(10);
    let (x, weights, bias) =
        (random.grid(300, 1.0 / 64.0), random.grid(3000, 1.0 / 128.0), random.grid(10, 1.0 / 64.0));
    let found = run_linear(emulator, &layer, &x, &weights, &bias)?;
    compare(&found, &reference::linear::linear(&x, &weights, Some(&bias), layer.activation), |_| 0.0)?;
    let row = random.real(300);
    compare(&run_softmax(emulator, 300, &row)?, &reference::softmax::softmax(&row), |_| 1e-6)?;
    let order = best(emulator, &[0.1, f32::NAN, 0.4, 0.1], 4)?;
    ensure!(order == [2, 0, 3, 1], "{order:?}");
    Ok(())
}

/// Preprocessing.
fn pictures(emulator: &Emulator) -> Result<()> {
    let mut random = Random(11);
    let resize = Resize { output: [24, 20], element: Element::F32, planes: Planes::Hwc, stored_channels: 4 };
    let mut batch: Vec<Picture> = (0..12)
        .map(|_| random_picture(&mut random, Filter::Lanczos, resize.output))
        .collect::<Result<_>>()?;
    let tall = ResizeGeometry::new(Filter::Bicubic, [300, 21], resize.output)?;
    let pixels = (0..300 * 21 * 3).map(|_| random.bits() as u8).collect();
    batch.push(Picture { geometry: tall, placement: Placement::whole(&tall), pixels });
    let found = Element::F32.unpack(&preprocess(emulator, &resize, &batch, 12)?);
    for (picture, found) in batch.iter().zip(found.chunks_exact(resize.output_len())) {
        let expected: Vec<f64> = expected(picture, &resize).iter().map(|x| f64::from(*x)).collect();
        compare(found, &expected, |_| 0.0)?;
    }
    Ok(())
}

fn missed(bugs: &[Bug]) -> Result<Vec<&'static str>> {
    let mut missed = Vec::new();
    for bug in bugs {
        let emulator = Emulator::changed(&bug.change).with_context(|| bug.what)?;
        match (bug.probe)(&emulator) {
            Ok(()) => missed.push(bug.what),
            Err(caught) => println!("{}: {caught}", bug.what),
        }
    }
    Ok(missed)
}

/// Without a bug the probes find nothing.
#[test]
fn the_probes_pass_without_a_bug() -> Result<()> {
    for bug in BUGS {
        (bug.probe)(Emulator::shared()).with_context(|| bug.what)?;
    }
    Ok(())
}
