//! THE table of what the machine code of each micro-kernel must look like.

use std::ops::RangeInclusive;

/// What is counted, in fused multiply-adds.
#[derive(Clone, Copy)]
pub enum Code {
    /// The innermost loop with most of them has so many per row of the tile, or a multiple (the compiler may unroll
    /// further), into at least so many registers per row.
    Loop { fmas: usize, sums: usize },
    /// So many outside of all loops: the kernel is one straight run.
    Straight(usize),
}

/// One kernel, or the tiles of one kind.
pub struct Row {
    pub isa: &'static str,
    /// The type that is the kernel; `#` stands for the rows of a tile.
    pub kernel: &'static str,
    pub rows: RangeInclusive<usize>,
    pub code: Code,
    /// Most instructions that move vectors to or from the stack: in the loop, or in all of a straight kernel, which
    /// may hold more values than there are registers.
    pub stack: usize,
}

const AVX2: &str = "Avx2Fma";
const AVX512: &str = "Avx512";

pub const TABLE: &[Row] = &[
    tiles(AVX512, "Tile<#, 2, 8, false>", 9..=14, 2, 0),
    tiles(AVX512, "Tile<#, 2, 32, false>", 1..=14, 2, 0),
    tiles(AVX512, "Tile<#, 1, 0, false>", 1..=14, 1, 0),
    tiles(AVX2, "Tile<#, 2, 2, false>", 4..=6, 2, 0),
    tiles(AVX2, "Tile<#, 2, 8, false>", 1..=5, 2, 0),
    // Weights of the next step, which the compiler loads early: accumulators stay in registers.
    tiles(AVX2, "Tile<#, 2, 8, false>", 6..=6, 2, 10),
    // Those that fetch inputs as well.
    tiles(AVX2, "Tile<#, 2, 2, true>", 1..=5, 2, 0),
    tiles(AVX2, "Tile<#, 2, 2, true>", 6..=6, 2, 12),
    tiles(AVX2, "Tile<#, 1, 0, false>", 1..=5, 1, 0),
    tiles(AVX2, "Tile<#, 1, 0, false>", 6..=6, 1, 12),
    tiles(AVX512, "MultiplyPoint<#, 2>", 1..=14, 2, 0),
    tiles(AVX512, "MultiplyPoint<#, 1>", 1..=14, 1, 0),
    tiles(AVX2, "MultiplyPoint<#, 2>", 1..=6, 2, 0),
    tiles(AVX2, "MultiplyPoint<#, 1>", 1..=6, 1, 0),
    // What the peak of a core is measured with.
    tiles(AVX512, "MultiplyAdds<#>", 6..=6, 1, 0),
    tiles(AVX512, "MultiplyAdds<#>", 12..=12, 1, 0),
    tiles(AVX2, "MultiplyAdds<#>", 6..=6, 1, 0),
    tiles(AVX2, "MultiplyAdds<#>", 12..=12, 1, 0),
    grouped(AVX512, "Grouped<1>", 8, 0),
    grouped(AVX512, "Grouped<2>", 16, 0),
    grouped(AVX512, "Grouped<4>", 32, 0),
    grouped(AVX512, "Grouped<8>", 64, 0),
    grouped(AVX2, "Grouped<1>", 8, 0),
    // Eight pixels' inputs and sums are more than there are registers.
    grouped(AVX2, "Grouped<2>", 16, 20),
    grouped(AVX2, "Grouped<4>", 32, 32),
    grouped(AVX2, "Grouped<8>", 64, 48),
    one(AVX512, "InputTransform<F23, F23, 4, 4>", Code::Straight(0), 0),
    one(AVX512, "InputTransform<F43, F43, 6, 6>", Code::Straight(96), 50),
    one(AVX512, "InputTransform<F44, F44, 7, 7>", Code::Straight(224), 130),
    one(AVX512, "InputTransform<F43AtUse, F43AtUse, 6, 6>", Code::Straight(96), 50),
    one(AVX512, "InputTransform<F53, F53, 7, 7>", Code::Straight(224), 180),
    one(AVX512, "InputTransform<Outer, Outer, 5, 5>", Code::Straight(50), 0),
    one(AVX512, "InputTransform<Outer, Middle, 5, 4>", Code::Straight(40), 0),
    one(AVX512, "InputTransform<Middle, Outer, 4, 5>", Code::Straight(40), 0),
    one(AVX512, "InputTransform<Middle, Middle, 4, 4>", Code::Straight(32), 0),
    one(AVX512, "OutputTransform<4, 2>", Code::Straight(0), 0),
    one(AVX512, "OutputTransform<5, 4>", Code::Straight(27), 0),
    one(AVX512, "OutputTransform<6, 4>", Code::Straight(30), 20),
    one(AVX512, "OutputTransform<7, 4>", Code::Straight(66), 50),
    one(AVX512, "OutputTransform<7, 5>", Code::Straight(96), 220),
    one(AVX2, "InputTransform<F23, F23, 4, 4>", Code::Straight(0), 5),
    one(AVX2, "InputTransform<F43, F43, 6, 6>", Code::Straight(96), 120),
    one(AVX2, "InputTransform<F44, F44, 7, 7>", Code::Straight(224), 230),
    one(AVX2, "InputTransform<F43AtUse, F43AtUse, 6, 6>", Code::Straight(96), 120),
    one(AVX2, "InputTransform<F53, F53, 7, 7>", Code::Straight(224), 270),
    one(AVX2, "InputTransform<Outer, Outer, 5, 5>", Code::Straight(50), 40),
    one(AVX2, "InputTransform<Outer, Middle, 5, 4>", Code::Straight(40), 25),
    one(AVX2, "InputTransform<Middle, Outer, 4, 5>", Code::Straight(40), 25),
    one(AVX2, "InputTransform<Middle, Middle, 4, 4>", Code::Straight(32), 20),
    one(AVX2, "OutputTransform<4, 2>", Code::Straight(0), 5),
    one(AVX2, "OutputTransform<5, 4>", Code::Straight(27), 60),
    one(AVX2, "OutputTransform<6, 4>", Code::Straight(30), 90),
    one(AVX2, "OutputTransform<7, 4>", Code::Straight(66), 135),
    one(AVX2, "OutputTransform<7, 5>", Code::Straight(96), 275),
];

/// Kernels, with whatever parameters, without sums that must stay in registers; the transforms of filters wait for taps.
pub const NOT_CHECKED: &[&str] =
    &["FilterTransform", "Run", "MaxPool", "AveragePool", "SumBlock", "SoftmaxRow"];

const fn tiles(
    isa: &'static str,
    kernel: &'static str,
    rows: RangeInclusive<usize>,
    vectors: usize,
    stack: usize,
) -> Row {
    Row { isa, kernel, rows, code: Code::Loop { fmas: vectors, sums: vectors }, stack }
}

/// Eight pixels.
const fn grouped(isa: &'static str, kernel: &'static str, fmas: usize, stack: usize) -> Row {
    one(isa, kernel, Code::Loop { fmas, sums: 8 }, stack)
}

const fn one(isa: &'static str, kernel: &'static str, code: Code, stack: usize) -> Row {
    Row { isa, kernel, rows: 1..=1, code, stack }
}
