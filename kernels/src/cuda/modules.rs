//! THE list of device modules and their entry points: the compiler of the images, the loader, the tests and
//! the benches read it.

use super::element::Element;

/// A `.cu` file and what it exports.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Name of the source without its extension, and of the images.
    pub name: &'static str,
    /// What can be launched.
    pub entry_points: &'static [EntryPoint],
}

/// A kernel that the host can launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPoint {
    /// `<dtype>_<family>[_<form>][_<tile>]`; preprocessing ends in what it writes.
    pub name: &'static str,
    /// Threads of a block: the kernel is compiled for this number.
    pub threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// Registers per thread that it may use; more would leave fewer blocks on a multiprocessor than planned. Where
    /// copies cannot be asynchronous (compute capability 7.5) it may use a few more.
    pub max_registers: u32,
    /// Whether it exists only from compute capability 8.0 on.
    pub needs_bf16: bool,
}

/// Every module.
pub const MODULES: &[Module] = &[
    Module { name: "conv2d", entry_points: CONV2D },
    Module { name: "window", entry_points: WINDOW },
    Module { name: "linear", entry_points: LINEAR },
    Module { name: "rows", entry_points: ROWS },
    Module { name: "resize_normalize", entry_points: RESIZE_NORMALIZE },
];

macro_rules! entry_points {
    ($list:ident, $threads:literal, $shared:literal, $registers:literal, [$($name:literal),+ $(,)?] $(, [$($bf16:literal),+])?) => {
        const $list: &[EntryPoint] = &[
            $(EntryPoint { name: $name, threads: $threads, shared_bytes: $shared, max_registers: $registers, needs_bf16: false },)+
            $($(EntryPoint { name: $bf16, threads: $threads, shared_bytes: $shared, max_registers: $registers, needs_bf16: true },)+)?
        ];
    };
}

entry_points!(
    WINDOW,
    256,
    0,
    64,
    [
        "f16_depthwise",
        "f16_max_pool",
        "f16_average_pool",
        "f16_global_average_pool",
        "f16_add",
        "f16_multiply",
        "f32_depthwise",
        "f32_max_pool",
        "f32_average_pool",
        "f32_global_average_pool",
        "f32_add",
        "f32_multiply",
    ],
    [
        "bf16_depthwise",
        "bf16_max_pool",
        "bf16_average_pool",
        "bf16_global_average_pool",
        "bf16_add",
        "bf16_multiply"
    ]
);
entry_points!(LINEAR, 128, 0, 96, ["f16_linear", "f32_linear"], ["bf16_linear"]);
// A value of 8 bytes per warp.
entry_points!(ROWS, 128, 32, 40, ["f32_softmax", "f32_top_k"]);
// 32 lines of 16 packed pixels. Rounding to bf16 needs no matrix instruction, so every device has it.
entry_points!(
    RESIZE_NORMALIZE,
    256,
    2048,
    80,
    ["u8_resize_normalize_f16", "u8_resize_normalize_bf16", "u8_resize_normalize_f32"]
);

/// The entry point of this name.
pub fn entry_point(name: &str) -> Option<&'static EntryPoint> {
    MODULES.iter().flat_map(|module| module.entry_points).find(|entry| entry.name == name)
}

/// How a convolution reads its input; see `conv2d.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conv2dInput {
    /// 1 x 1 filter, no border.
    Pointwise,
    /// Any filter.
    Window,
    /// Any filter over 4 stored channels.
    Narrow,
}

/// Pixels and channels that one block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Pixels.
    pub rows: usize,
    /// Channels.
    pub columns: usize,
    /// Pixels per warp; a warp computes 32 channels of each.
    pub warp_rows: usize,
}

/// Bytes of one row of a slab.
pub const SLAB_BYTES: usize = 64;
/// Slabs in shared memory.
const STAGES: usize = 3;

impl Tile {
    const LARGE: Tile = Tile { rows: 128, columns: 128, warp_rows: 64 };
    const MIDDLE: Tile = Tile { rows: 128, columns: 64, warp_rows: 32 };
    const TALL: Tile = Tile { rows: 128, columns: 32, warp_rows: 32 };
    const SMALL: Tile = Tile { rows: 64, columns: 64, warp_rows: 32 };

    /// Threads of a block.
    pub const fn threads(self) -> u32 {
        (self.rows / self.warp_rows * (self.columns / 32) * 32) as u32
    }

    /// Shared memory of a block: the slabs under way, where the results are staged afterwards.
    pub const fn shared_bytes(self) -> u32 {
        (STAGES * (self.rows + self.columns) * SLAB_BYTES) as u32
    }
}

/// One row of the table of convolution kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dKernel {
    /// Element type.
    pub element: Element,
    /// Kind of input.
    pub input: Conv2dInput,
    /// Tile of a block.
    pub tile: Tile,
    /// Name of the entry point.
    pub name: &'static str,
}

macro_rules! conv2d_kernels {
    ($(($element:ident, $input:ident, $tile:ident, $registers:literal, $name:literal),)+) => {
        /// Every convolution kernel.
        pub const CONV2D_KERNELS: &[Conv2dKernel] = &[
            $(Conv2dKernel { element: Element::$element, input: Conv2dInput::$input, tile: Tile::$tile, name: $name },)+
        ];
        const CONV2D: &[EntryPoint] = &[
            $(EntryPoint {
                name: $name,
                threads: Tile::$tile.threads(),
                shared_bytes: Tile::$tile.shared_bytes(),
                max_registers: $registers,
                needs_bf16: matches!(Element::$element, Element::Bf16),
            },)+
        ];
    };
}

conv2d_kernels! {
    (F16, Pointwise, LARGE, 128, "f16_conv2d_pointwise_128x128"),
    (F16, Pointwise, MIDDLE, 128, "f16_conv2d_pointwise_128x64"),
    (F16, Pointwise, TALL, 128, "f16_conv2d_pointwise_128x32"),
    (F16, Pointwise, SMALL, 128, "f16_conv2d_pointwise_64x64"),
    (F16, Window, LARGE, 128, "f16_conv2d_128x128"),
    (F16, Window, MIDDLE, 128, "f16_conv2d_128x64"),
    (F16, Window, TALL, 128, "f16_conv2d_128x32"),
    (F16, Window, SMALL, 128, "f16_conv2d_64x64"),
    (F16, Narrow, MIDDLE, 128, "f16_conv2d_narrow_128x64"),
    (F16, Narrow, TALL, 128, "f16_conv2d_narrow_128x32"),
    (Bf16, Pointwise, LARGE, 128, "bf16_conv2d_pointwise_128x128"),
    (Bf16, Pointwise, MIDDLE, 128, "bf16_conv2d_pointwise_128x64"),
    (Bf16, Pointwise, TALL, 128, "bf16_conv2d_pointwise_128x32"),
    (Bf16, Pointwise, SMALL, 128, "bf16_conv2d_pointwise_64x64"),
    (Bf16, Window, LARGE, 128, "bf16_conv2d_128x128"),
    (Bf16, Window, MIDDLE, 128, "bf16_conv2d_128x64"),
    (Bf16, Window, TALL, 128, "bf16_conv2d_128x32"),
    (Bf16, Window, SMALL, 128, "bf16_conv2d_64x64"),
    (Bf16, Narrow, MIDDLE, 128, "bf16_conv2d_narrow_128x64"),
    (Bf16, Narrow, TALL, 128, "bf16_conv2d_narrow_128x32"),
    (F32, Window, SMALL, 168, "f32_conv2d_64x64"),
}
