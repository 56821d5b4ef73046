//! The table of CPU kernels: dispatch, tests and benches read it.

use super::conv2d::{
    F23, F43, F43AtUse, F44, F53, FilterTransform, Grouped, GroupedFn, InputTransform, Middle, MultiplyPoint,
    Outer, OutputTransform, PointProductFn, Transforms, WinogradKernels,
};
use super::elementwise::{ElementwiseFn, Run};
use super::gemm::{PrefetchLevel, Tile, TileFn, TileKernels};
use super::isa::Isa;
use super::peak::{CHAINS, MultiplyAdds, PeakFn};
use super::pool2d::{AveragePool, MaxPool, PoolFn, SumBlock, SumBlockFn};
use super::simd::{Entry, Portable};
use super::softmax::{SoftmaxFn, SoftmaxRow};
use std::fmt;

/// All kernels of one instruction set.
///
/// A `&'static KernelSet` is proof that the CPU has the instruction set: the only ways to one are
/// [`usable_sets`] and [`select`](super::select::select).
pub struct KernelSet {
    /// The instruction set.
    pub isa: Isa,
    /// Floats per vector: channels per block of the layout.
    pub lanes: usize,
    /// What the set is made of.
    variants: &'static [Variant],
    pub(crate) tiles: TileKernels,
    /// By the number of the group's size in `GROUP_SIZES`.
    pub(crate) grouped: [GroupedFn; 4],
    pub(crate) winograd: WinogradKernels,
    pub(crate) max_pool: PoolFn,
    pub(crate) average_pool: PoolFn,
    pub(crate) sum_block: SumBlockFn,
    pub(crate) elementwise: ElementwiseFn,
    pub(crate) softmax: SoftmaxFn,
    /// By the number of chains in `CHAINS`.
    pub(crate) peak: [PeakFn; 2],
}

impl KernelSet {
    /// The kernels of the set by name.
    pub fn variants(&self) -> &'static [Variant] {
        self.variants
    }
}

impl fmt::Debug for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSet").field("isa", &self.isa).field("lanes", &self.lanes).finish()
    }
}

/// One implementation of a kernel family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `<dtype>_<family>[_<epilogue>]_<tile>_<isa>`
    pub name: &'static str,
    /// The instruction set it needs.
    pub isa: Isa,
    /// Floats per vector.
    pub lanes: usize,
    /// Pixels (or rows) x channels computed side by side.
    pub tile: [usize; 2],
}

/// The sets that this CPU can run, the best first; the portable one is always the last.
pub fn usable_sets() -> impl Iterator<Item = &'static KernelSet> {
    KERNEL_SETS.iter().copied().filter(|set| set.isa.is_available())
}

/// The variants that this CPU can run.
pub fn usable() -> impl Iterator<Item = &'static Variant> {
    usable_sets().flat_map(KernelSet::variants)
}

/// The variants of all sets compiled for this target, whether this CPU can run them or not.
pub fn all() -> impl Iterator<Item = &'static Variant> {
    KERNEL_SETS.iter().flat_map(|set| set.variants)
}

/// Best first.
static KERNEL_SETS: &[&KernelSet] = &[
    #[cfg(target_arch = "x86_64")]
    &AVX512,
    #[cfg(target_arch = "x86_64")]
    &AVX2,
    #[cfg(target_arch = "aarch64")]
    &NEON,
    &PORTABLE,
];

/// Tiles of the heights listed, which rise by one; `ahead` if they fetch inputs.
macro_rules! level {
    ($entry:ty, $vectors:literal vectors, $lines:literal lines, $lowest:literal $($rows:literal)*) => {
        level!(@ false, $entry, $vectors, $lines, $lowest $($rows)*)
    };
    (ahead $entry:ty, $vectors:literal vectors, $lines:literal lines, $lowest:literal $($rows:literal)*) => {
        level!(@ true, $entry, $vectors, $lines, $lowest $($rows)*)
    };
    (@ $ahead:literal, $entry:ty, $vectors:literal, $lines:literal, $lowest:literal $($rows:literal)*) => {
        PrefetchLevel {
            lines: $lines,
            lowest: $lowest,
            by_rows: &[
                <$entry>::enter::<Tile<$lowest, $vectors, $lines, $ahead>> as TileFn,
                $(<$entry>::enter::<Tile<$rows, $vectors, $lines, $ahead>> as TileFn),*
            ],
        }
    };
}

/// The products of runs of the tiles listed, which rise by one.
macro_rules! products {
    ($entry:ty, $vectors:literal vectors, $($tiles:literal)*) => {
        &[$(<$entry>::enter::<MultiplyPoint<$tiles, $vectors>> as PointProductFn),*]
    };
}

/// The rows of the table for one instruction set.
macro_rules! variants {
    ($isa:expr, $lanes:literal, [$($name:literal $rows:literal x $channels:literal),* $(,)?]) => {
        &[$(Variant { name: $name, isa: $isa, lanes: $lanes, tile: [$rows, $channels] }),*]
    };
}

/// A set whose kernels are compiled for the instruction set of `E`.
const fn kernel_set<E: Entry>(
    isa: Isa,
    lanes: usize,
    variants: &'static [Variant],
    tiles: TileKernels,
    [wide_products, narrow_products]: [&'static [PointProductFn]; 2],
) -> KernelSet {
    KernelSet {
        isa,
        lanes,
        variants,
        tiles,
        grouped: [
            E::enter::<Grouped<1>>,
            E::enter::<Grouped<2>>,
            E::enter::<Grouped<4>>,
            E::enter::<Grouped<8>>,
        ],
        winograd: WinogradKernels {
            f2: Transforms {
                inputs: [E::enter::<InputTransform<F23, F23, 4, 4>>],
                filters: [E::enter::<FilterTransform<F23, F23, 3, 4, 4>>],
                output: E::enter::<OutputTransform<4, 2>>,
            },
            f4: Transforms {
                inputs: [E::enter::<InputTransform<F43, F43, 6, 6>>],
                filters: [E::enter::<FilterTransform<F43, F43, 3, 6, 6>>],
                output: E::enter::<OutputTransform<6, 4>>,
            },
            f4_at_use: Transforms {
                inputs: [E::enter::<InputTransform<F43AtUse, F43AtUse, 6, 6>>],
                filters: [E::enter::<FilterTransform<F43AtUse, F43AtUse, 3, 6, 6>>],
                output: E::enter::<OutputTransform<6, 4>>,
            },
            f4_taps_4: Transforms {
                inputs: [E::enter::<InputTransform<F44, F44, 7, 7>>],
                filters: [E::enter::<FilterTransform<F44, F44, 4, 7, 7>>],
                output: E::enter::<OutputTransform<7, 4>>,
            },
            f5: Transforms {
                inputs: [E::enter::<InputTransform<F53, F53, 7, 7>>],
                filters: [E::enter::<FilterTransform<F53, F53, 3, 7, 7>>],
                output: E::enter::<OutputTransform<7, 5>>,
            },
            f4_stride_2: Transforms {
                inputs: [
                    E::enter::<InputTransform<Outer, Outer, 5, 5>>,
                    E::enter::<InputTransform<Outer, Middle, 5, 4>>,
                    E::enter::<InputTransform<Middle, Outer, 4, 5>>,
                    E::enter::<InputTransform<Middle, Middle, 4, 4>>,
                ],
                filters: [
                    E::enter::<FilterTransform<Outer, Outer, 3, 5, 5>>,
                    E::enter::<FilterTransform<Outer, Middle, 3, 5, 4>>,
                    E::enter::<FilterTransform<Middle, Outer, 3, 4, 5>>,
                    E::enter::<FilterTransform<Middle, Middle, 3, 4, 4>>,
                ],
                output: E::enter::<OutputTransform<5, 4>>,
            },
            wide_products,
            narrow_products,
        },
        max_pool: E::enter::<MaxPool>,
        average_pool: E::enter::<AveragePool>,
        sum_block: E::enter::<SumBlock>,
        elementwise: E::enter::<Run>,
        softmax: E::enter::<SoftmaxRow>,
        peak: [E::enter::<MultiplyAdds<{ CHAINS[0] }>>, E::enter::<MultiplyAdds<{ CHAINS[1] }>>],
    }
}

static PORTABLE: KernelSet = kernel_set::<Portable>(
    Isa::Portable,
    8,
    variants!(Isa::Portable, 8, [
        "f32_gemm_4x8_portable" 4 x 8,
        "f32_conv2d_depthwise_8x8_portable" 8 x 8,
        "f32_conv2d_grouped_8x8_portable" 8 x 8,
        "f32_conv2d_winograd_f2_4x8_portable" 4 x 8,
        "f32_conv2d_winograd_f4_16x8_portable" 16 x 8,
        "f32_conv2d_winograd_f4s2_16x8_portable" 16 x 8,
        "f32_conv2d_winograd_f4t4_16x8_portable" 16 x 8,
        "f32_conv2d_winograd_f5_25x8_portable" 25 x 8,
        "f32_pool2d_1x8_portable" 1 x 8,
        "f32_elementwise_1x8_portable" 1 x 8,
        "f32_softmax_1x8_portable" 1 x 8,
    ]),
    TileKernels {
        vectors: 1,
        wide: &[level!(Portable, 1 vectors, 0 lines, 1 2 3 4)],
        fresh: None,
        narrow: level!(Portable, 1 vectors, 0 lines, 1 2 3 4),
    },
    [products!(Portable, 1 vectors, 1 2 3 4), products!(Portable, 1 vectors, 1 2 3 4)],
);

#[cfg(target_arch = "x86_64")]
static AVX2: KernelSet = kernel_set::<super::simd::Avx2Fma>(
    Isa::Avx2Fma,
    8,
    variants!(Isa::Avx2Fma, 8, [
        "f32_gemm_6x16_avx2" 6 x 16,
        "f32_conv2d_depthwise_8x8_avx2" 8 x 8,
        "f32_conv2d_grouped_8x8_avx2" 8 x 8,
        "f32_conv2d_winograd_f2_4x8_avx2" 4 x 8,
        "f32_conv2d_winograd_f4_16x8_avx2" 16 x 8,
        "f32_conv2d_winograd_f4s2_16x8_avx2" 16 x 8,
        "f32_conv2d_winograd_f4t4_16x8_avx2" 16 x 8,
        "f32_conv2d_winograd_f5_25x8_avx2" 25 x 8,
        "f32_pool2d_1x8_avx2" 1 x 8,
        "f32_elementwise_1x8_avx2" 1 x 8,
        "f32_softmax_1x8_avx2" 1 x 8,
    ]),
    TileKernels {
        vectors: 2,
        wide: &[
            level!(super::simd::Avx2Fma, 2 vectors, 2 lines, 4 5 6),
            level!(super::simd::Avx2Fma, 2 vectors, 8 lines, 1 2 3 4 5 6),
        ],
        fresh: Some(level!(ahead super::simd::Avx2Fma, 2 vectors, 2 lines, 1 2 3 4 5 6)),
        narrow: level!(super::simd::Avx2Fma, 1 vectors, 0 lines, 1 2 3 4 5 6),
    },
    [
        products!(super::simd::Avx2Fma, 2 vectors, 1 2 3 4 5 6),
        products!(super::simd::Avx2Fma, 1 vectors, 1 2 3 4 5 6),
    ],
);

#[cfg(target_arch = "x86_64")]
static AVX512: KernelSet = kernel_set::<super::simd::Avx512>(
    Isa::Avx512,
    16,
    variants!(Isa::Avx512, 16, [
        "f32_gemm_14x32_avx512" 14 x 32,
        "f32_conv2d_depthwise_8x16_avx512" 8 x 16,
        "f32_conv2d_grouped_8x16_avx512" 8 x 16,
        "f32_conv2d_winograd_f2_4x16_avx512" 4 x 16,
        "f32_conv2d_winograd_f4_16x16_avx512" 16 x 16,
        "f32_conv2d_winograd_f4s2_16x16_avx512" 16 x 16,
        "f32_conv2d_winograd_f4t4_16x16_avx512" 16 x 16,
        "f32_conv2d_winograd_f5_25x16_avx512" 25 x 16,
        "f32_pool2d_1x16_avx512" 1 x 16,
        "f32_elementwise_1x16_avx512" 1 x 16,
        "f32_softmax_1x16_avx512" 1 x 16,
    ]),
    TileKernels {
        vectors: 2,
        wide: &[
            level!(super::simd::Avx512, 2 vectors, 8 lines, 9 10 11 12 13 14),
            level!(super::simd::Avx512, 2 vectors, 32 lines, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        ],
        fresh: None,
        narrow: level!(super::simd::Avx512, 1 vectors, 0 lines, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
    },
    [
        products!(super::simd::Avx512, 2 vectors, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        products!(super::simd::Avx512, 1 vectors, 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
    ],
);

#[cfg(target_arch = "aarch64")]
static NEON: KernelSet = kernel_set::<super::simd::Neon>(
    Isa::Neon,
    8,
    variants!(Isa::Neon, 8, [
        "f32_gemm_6x16_neon" 6 x 16,
        "f32_conv2d_depthwise_8x8_neon" 8 x 8,
        "f32_conv2d_grouped_8x8_neon" 8 x 8,
        "f32_conv2d_winograd_f2_4x8_neon" 4 x 8,
        "f32_conv2d_winograd_f4_16x8_neon" 16 x 8,
        "f32_conv2d_winograd_f4s2_16x8_neon" 16 x 8,
        "f32_conv2d_winograd_f4t4_16x8_neon" 16 x 8,
        "f32_conv2d_winograd_f5_25x8_neon" 25 x 8,
        "f32_pool2d_1x8_neon" 1 x 8,
        "f32_elementwise_1x8_neon" 1 x 8,
        "f32_softmax_1x8_neon" 1 x 8,
    ]),
    TileKernels {
        vectors: 2,
        wide: &[level!(super::simd::Neon, 2 vectors, 0 lines, 1 2 3 4 5 6)],
        fresh: None,
        narrow: level!(super::simd::Neon, 1 vectors, 0 lines, 1 2 3 4 5 6),
    },
    [
        products!(super::simd::Neon, 2 vectors, 1 2 3 4 5 6),
        products!(super::simd::Neon, 1 vectors, 1 2 3 4 5 6),
    ],
);
