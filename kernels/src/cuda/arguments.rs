//! The argument block of each kernel, defined once: `argument_block!` makes the Rust struct, and
//! [`header`] prints the same struct for CUDA as `cuda/arguments.cuh`.
//!
//! Fields named after tensors hold device addresses. All sizes count elements unless they say otherwise.

use super::divisor::Divisor;
use bytemuck::{Pod, Zeroable};
use std::fmt::Write;

/// A type that may be a field of an argument block.
pub trait Field: Pod {
    /// The type's name in CUDA.
    const CUDA: &'static str;
}

impl Field for u32 {
    const CUDA: &'static str = "u32";
}
impl Field for u64 {
    const CUDA: &'static str = "u64";
}
impl Field for f32 {
    const CUDA: &'static str = "float";
}

/// A struct that has the same layout on both sides.
pub trait ArgumentBlock: Pod {
    /// Its definition in CUDA.
    fn definition() -> String;
}

macro_rules! argument_block {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl Field for $name {
            const CUDA: &'static str = stringify!($name);
        }

        impl ArgumentBlock for $name {
            fn definition() -> String {
                let fields = [$((stringify!($field), <$type as Field>::CUDA, std::mem::offset_of!($name, $field)),)+];
                definition(stringify!($name), &fields, std::mem::size_of::<$name>())
            }
        }
    };
}
pub(super) use argument_block;

/// A struct in CUDA, with the layout that Rust gave it as assertions.
pub(super) fn definition(name: &str, fields: &[(&str, &str, usize)], bytes: usize) -> String {
    let mut text = format!("struct {name} {{\n");
    for (field, cuda, _) in fields {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {cuda} {field};");
    }
    text.push_str("};\n");
    let _ = writeln!(text, "static_assert(sizeof({name}) == {bytes}, \"layout\");");
    // NVRTC has no offsetof; it lays structs out as the host compiler does.
    text.push_str("#ifndef __CUDACC_RTC__\n");
    for (field, _, offset) in fields {
        let _ = writeln!(text, "static_assert(__builtin_offsetof({name}, {field}) == {offset}, \"layout\");");
    }
    text.push_str("#endif\n");
    text
}

argument_block! {
    /// What follows the sums: bias, residual, activation.
    EpilogueArguments {
        /// A tensor of the output's shape to add, or 0.
        residual: u64,
        /// One of [`ACTIVATIONS`].
        activation: u32,
        /// Lower limit of `CLIP`, slope of `HARD_SIGMOID`.
        first: f32,
        /// Upper limit of `CLIP`, offset of `HARD_SIGMOID`.
        second: f32,
        /// Zero.
        unused: u32,
    }
}

argument_block! {
    /// A convolution of some images, see `conv2d.cu`.
    Conv2dArguments {
        /// `[images, in_height, in_width, in_channels]`
        input: u64,
        /// `[out_channels, slabs]`, each slab of 64 bytes
        weights: u64,
        /// `[out_channels]` in f32
        bias: u64,
        /// `[images, out_height, out_width, out_channels]`
        output: u64,
        /// What follows the sums.
        epilogue: EpilogueArguments,
        /// Output pixels of all images.
        pixels: u32,
        /// Rows of an input image.
        in_height: u32,
        /// Columns of an input image.
        in_width: u32,
        /// Stored channels of the input.
        in_channels: u32,
        /// Rows of an output image.
        out_height: u32,
        /// Columns of an output image.
        out_width: u32,
        /// Stored channels of the output.
        out_channels: u32,
        /// Columns of the filter.
        filter_width: u32,
        /// Steps down.
        stride_rows: u32,
        /// Steps to the right.
        stride_columns: u32,
        /// Distance between taps, down.
        dilation_rows: u32,
        /// Distance between taps, to the right.
        dilation_columns: u32,
        /// Zero rows above.
        pad_top: u32,
        /// Zero columns to the left.
        pad_left: u32,
        /// Input channels of a bundle of groups.
        group_inputs: u32,
        /// Output channels of a bundle of groups.
        group_outputs: u32,
        /// Products per output value: filter rows x filter columns x `group_inputs`.
        depth: u32,
        /// Slabs that hold the depth.
        slabs: u32,
        /// Tiles side by side over all output channels.
        column_tiles: u32,
        /// Tiles side by side over those of one bundle.
        group_tiles: u32,
        /// By `out_width`.
        by_out_width: Divisor,
        /// By `out_height`.
        by_out_height: Divisor,
        /// By `group_inputs`.
        by_group_inputs: Divisor,
        /// By `filter_width`.
        by_filter_width: Divisor,
        /// By `column_tiles`.
        by_column_tiles: Divisor,
        /// By `group_tiles`.
        by_group_tiles: Divisor,
    }
}

argument_block! {
    /// A window over each channel by itself: depthwise convolution and pooling.
    WindowArguments {
        /// `[images, in_height, in_width, channels]`
        input: u64,
        /// Depthwise convolution: `[filter_height, filter_width, channels]`; otherwise 0.
        weights: u64,
        /// Depthwise convolution: `[channels]` in f32; otherwise 0.
        bias: u64,
        /// `[images, out_height, out_width, channels]`
        output: u64,
        /// What follows the sums of a depthwise convolution.
        epilogue: EpilogueArguments,
        /// Output pixels of all images, times `channels / 8`.
        items: u32,
        /// Stored channels.
        channels: u32,
        /// Rows of an input image.
        in_height: u32,
        /// Columns of an input image.
        in_width: u32,
        /// Rows of an output image.
        out_height: u32,
        /// Columns of an output image.
        out_width: u32,
        /// Rows of the window.
        filter_height: u32,
        /// Columns of the window.
        filter_width: u32,
        /// Steps down.
        stride_rows: u32,
        /// Steps to the right.
        stride_columns: u32,
        /// Distance between taps, down.
        dilation_rows: u32,
        /// Distance between taps, to the right.
        dilation_columns: u32,
        /// Border above.
        pad_top: u32,
        /// Border to the left.
        pad_left: u32,
        /// Average pooling: whether the border counts as zeros.
        count_border: u32,
        /// Zero.
        unused: u32,
        /// By `channels / 8`.
        by_chunks: Divisor,
        /// By `out_width`.
        by_out_width: Divisor,
        /// By `out_height`.
        by_out_height: Divisor,
    }
}

argument_block! {
    /// The mean of each channel of each image.
    GlobalPoolArguments {
        /// `[images, pixels, channels]`
        input: u64,
        /// `[images, channels]`
        output: u64,
        /// Images times `channels / 8`.
        items: u32,
        /// Pixels of an image.
        pixels: u32,
        /// Stored channels.
        channels: u32,
        /// Zero.
        unused: u32,
        /// By `channels / 8`.
        by_chunks: Divisor,
    }
}

argument_block! {
    /// Two tensors value by value, then an activation.
    PairArguments {
        /// `[pixels, channels]`
        left: u64,
        /// The same, or fewer pixels: each stands for `by_repeats` of the left one.
        right: u64,
        /// As `left`.
        output: u64,
        /// The activation; no residual.
        epilogue: EpilogueArguments,
        /// Pixels times `channels / 8`.
        items: u32,
        /// Stored channels.
        channels: u32,
        /// Those that mean something; the others become zero, as products of what fills up might overflow.
        meant_channels: u32,
        /// Zero.
        unused: u32,
        /// By `channels / 8`.
        by_chunks: Divisor,
        /// By the pixels that one of the right tensor stands for.
        by_repeats: Divisor,
    }
}

argument_block! {
    /// A fully connected layer.
    LinearArguments {
        /// `[rows, inputs]`
        input: u64,
        /// `[outputs, inputs]`
        weights: u64,
        /// `[outputs]` in f32
        bias: u64,
        /// `[rows, outputs]` in f32
        output: u64,
        /// The activation; no residual.
        epilogue: EpilogueArguments,
        /// Images.
        rows: u32,
        /// Inputs, padded to a multiple of 8.
        inputs: u32,
        /// Outputs.
        outputs: u32,
        /// Blocks that hold all outputs of one group of rows.
        output_blocks: u32,
        /// By `output_blocks`.
        by_output_blocks: Divisor,
    }
}

argument_block! {
    /// Softmax, or the best of each row.
    RowArguments {
        /// `[rows, columns]` in f32
        input: u64,
        /// Softmax: `[rows, columns]` in f32. Top-k: `[rows, count]` scores in f32.
        output: u64,
        /// Top-k: `[rows, count]` columns in u32.
        indices: u64,
        /// Values per row.
        columns: u32,
        /// Top-k: how many of each row.
        count: u32,
    }
}

argument_block! {
    /// Preprocessing of a batch of pictures of any sizes, see `resize_normalize.cu`.
    ResizeArguments {
        /// One [`PictureArguments`] per picture.
        pictures: u64,
        /// The number for each byte, `[3, 256]` in f32
        numbers: u64,
        /// The input tensor of the network.
        output: u64,
        /// Rows of the result.
        out_height: u32,
        /// Columns of the result.
        out_width: u32,
        /// Elements from one channel to the next.
        channel_stride: u32,
        /// Elements from one pixel to the next.
        pixel_stride: u32,
        /// Channels stored per pixel if they lie side by side, the last ones zero; 3 otherwise.
        stored_channels: u32,
        /// Tiles of one picture along its columns.
        column_tiles: u32,
        /// By `column_tiles`.
        by_column_tiles: Divisor,
        /// By the tiles of one picture.
        by_picture_tiles: Divisor,
        /// Elements of one picture's part of the output.
        picture_stride: u64,
    }
}

argument_block! {
    /// One axis of a resize.
    AxisArguments {
        /// First source position of each output position, u32.
        starts: u64,
        /// Coefficients in 22-bit fixed point, `taps` for each output position.
        weights: u64,
        /// Coefficients per output position.
        taps: u32,
        /// Output positions that show the picture.
        count: u32,
        /// Bytes from one source position to the next.
        stride: u32,
        /// First position of the result that shows the picture.
        at: u32,
        /// Source positions.
        source: u32,
        /// Positions of the result from here on show the canvas.
        canvas_at: u32,
        /// How many do.
        canvas_count: u32,
        /// Zero.
        unused: u32,
    }
}

argument_block! {
    /// One picture of a batch.
    PictureArguments {
        /// Interleaved RGB.
        pixels: u64,
        /// The axis that is resampled first.
        first: AxisArguments,
        /// The other one.
        second: AxisArguments,
        /// 1 if rows are resampled first.
        rows_first: u32,
        /// Colour of the canvas, red in the lowest byte.
        fill: u32,
    }
}

/// Activations in the order of their numbers.
pub const ACTIVATIONS: [&str; 7] =
    ["IDENTITY", "RELU", "CLIP", "SIGMOID", "SILU", "HARD_SIGMOID", "HARD_SWISH"];

/// The text of `cuda/arguments.cuh`.
pub fn header() -> String {
    let mut text = String::from(
        "// Argument blocks of the kernels. Made from kernels/src/cuda/arguments.rs by `cargo xtask cubins`: do not\n\
         // edit.\n#pragma once\n\n#include \"device.cuh\"\n\nenum : u32 {\n",
    );
    for (number, name) in ACTIVATIONS.iter().enumerate() {
        let _ = writeln!(text, "  ACTIVATION_{name} = {number},");
    }
    text.push_str("};\n");
    let definitions = [
        Divisor::definition(),
        EpilogueArguments::definition(),
        Conv2dArguments::definition(),
        WindowArguments::definition(),
        GlobalPoolArguments::definition(),
        PairArguments::definition(),
        LinearArguments::definition(),
        RowArguments::definition(),
        ResizeArguments::definition(),
        AxisArguments::definition(),
        PictureArguments::definition(),
    ];
    for definition in definitions {
        text.push('\n');
        text.push_str(&definition);
    }
    text
}
