// Argument blocks of the kernels. Made from kernels/src/cuda/arguments.rs by `cargo xtask cubins`: do not
// edit.
#pragma once

#include "device.cuh"

enum : u32 {
  ACTIVATION_IDENTITY = 0,
  ACTIVATION_RELU = 1,
  ACTIVATION_CLIP = 2,
  ACTIVATION_SIGMOID = 3,
  ACTIVATION_SILU = 4,
  ACTIVATION_HARD_SIGMOID = 5,
  ACTIVATION_HARD_SWISH = 6,
};

struct Divisor {
  u32 multiplier;
  u32 shift;
};
static_assert(sizeof(Divisor) == 8, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(Divisor, multiplier) == 0, "layout");
static_assert(__builtin_offsetof(Divisor, shift) == 4, "layout");
#endif

struct EpilogueArguments {
  u64 residual;
  u32 activation;
  float first;
  float second;
  u32 unused;
};
static_assert(sizeof(EpilogueArguments) == 24, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(EpilogueArguments, residual) == 0, "layout");
static_assert(__builtin_offsetof(EpilogueArguments, activation) == 8, "layout");
static_assert(__builtin_offsetof(EpilogueArguments, first) == 12, "layout");
static_assert(__builtin_offsetof(EpilogueArguments, second) == 16, "layout");
static_assert(__builtin_offsetof(EpilogueArguments, unused) == 20, "layout");
#endif

struct Conv2dArguments {
  u64 input;
  u64 weights;
  u64 bias;
  u64 output;
  EpilogueArguments epilogue;
  u32 pixels;
  u32 in_height;
  u32 in_width;
  u32 in_channels;
  u32 out_height;
  u32 out_width;
  u32 out_channels;
  u32 filter_width;
  u32 stride_rows;
  u32 stride_columns;
  u32 dilation_rows;
  u32 dilation_columns;
  u32 pad_top;
  u32 pad_left;
  u32 group_inputs;
  u32 group_outputs;
  u32 depth;
  u32 slabs;
  u32 column_tiles;
  u32 group_tiles;
  Divisor by_out_width;
  Divisor by_out_height;
  Divisor by_group_inputs;
  Divisor by_filter_width;
  Divisor by_column_tiles;
  Divisor by_group_tiles;
};
static_assert(sizeof(Conv2dArguments) == 184, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(Conv2dArguments, input) == 0, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, weights) == 8, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, bias) == 16, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, output) == 24, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, epilogue) == 32, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, pixels) == 56, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, in_height) == 60, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, in_width) == 64, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, in_channels) == 68, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, out_height) == 72, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, out_width) == 76, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, out_channels) == 80, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, filter_width) == 84, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, stride_rows) == 88, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, stride_columns) == 92, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, dilation_rows) == 96, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, dilation_columns) == 100, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, pad_top) == 104, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, pad_left) == 108, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, group_inputs) == 112, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, group_outputs) == 116, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, depth) == 120, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, slabs) == 124, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, column_tiles) == 128, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, group_tiles) == 132, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_out_width) == 136, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_out_height) == 144, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_group_inputs) == 152, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_filter_width) == 160, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_column_tiles) == 168, "layout");
static_assert(__builtin_offsetof(Conv2dArguments, by_group_tiles) == 176, "layout");
#endif

struct WindowArguments {
  u64 input;
  u64 weights;
  u64 bias;
  u64 output;
  EpilogueArguments epilogue;
  u32 items;
  u32 channels;
  u32 in_height;
  u32 in_width;
  u32 out_height;
  u32 out_width;
  u32 filter_height;
  u32 filter_width;
  u32 stride_rows;
  u32 stride_columns;
  u32 dilation_rows;
  u32 dilation_columns;
  u32 pad_top;
  u32 pad_left;
  u32 count_border;
  u32 unused;
  Divisor by_chunks;
  Divisor by_out_width;
  Divisor by_out_height;
};
static_assert(sizeof(WindowArguments) == 144, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(WindowArguments, input) == 0, "layout");
static_assert(__builtin_offsetof(WindowArguments, weights) == 8, "layout");
static_assert(__builtin_offsetof(WindowArguments, bias) == 16, "layout");
static_assert(__builtin_offsetof(WindowArguments, output) == 24, "layout");
static_assert(__builtin_offsetof(WindowArguments, epilogue) == 32, "layout");
static_assert(__builtin_offsetof(WindowArguments, items) == 56, "layout");
static_assert(__builtin_offsetof(WindowArguments, channels) == 60, "layout");
static_assert(__builtin_offsetof(WindowArguments, in_height) == 64, "layout");
static_assert(__builtin_offsetof(WindowArguments, in_width) == 68, "layout");
static_assert(__builtin_offsetof(WindowArguments, out_height) == 72, "layout");
static_assert(__builtin_offsetof(WindowArguments, out_width) == 76, "layout");
static_assert(__builtin_offsetof(WindowArguments, filter_height) == 80, "layout");
static_assert(__builtin_offsetof(WindowArguments, filter_width) == 84, "layout");
static_assert(__builtin_offsetof(WindowArguments, stride_rows) == 88, "layout");
static_assert(__builtin_offsetof(WindowArguments, stride_columns) == 92, "layout");
static_assert(__builtin_offsetof(WindowArguments, dilation_rows) == 96, "layout");
static_assert(__builtin_offsetof(WindowArguments, dilation_columns) == 100, "layout");
static_assert(__builtin_offsetof(WindowArguments, pad_top) == 104, "layout");
static_assert(__builtin_offsetof(WindowArguments, pad_left) == 108, "layout");
static_assert(__builtin_offsetof(WindowArguments, count_border) == 112, "layout");
static_assert(__builtin_offsetof(WindowArguments, unused) == 116, "layout");
static_assert(__builtin_offsetof(WindowArguments, by_chunks) == 120, "layout");
static_assert(__builtin_offsetof(WindowArguments, by_out_width) == 128, "layout");
static_assert(__builtin_offsetof(WindowArguments, by_out_height) == 136, "layout");
#endif

struct GlobalPoolArguments {
  u64 input;
  u64 output;
  u32 items;
  u32 pixels;
  u32 channels;
  u32 unused;
  Divisor by_chunks;
};
static_assert(sizeof(GlobalPoolArguments) == 40, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(GlobalPoolArguments, input) == 0, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, output) == 8, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, items) == 16, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, pixels) == 20, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, channels) == 24, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, unused) == 28, "layout");
static_assert(__builtin_offsetof(GlobalPoolArguments, by_chunks) == 32, "layout");
#endif

struct PairArguments {
  u64 left;
  u64 right;
  u64 output;
  EpilogueArguments epilogue;
  u32 items;
  u32 channels;
  u32 meant_channels;
  u32 unused;
  Divisor by_chunks;
  Divisor by_repeats;
};
static_assert(sizeof(PairArguments) == 80, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(PairArguments, left) == 0, "layout");
static_assert(__builtin_offsetof(PairArguments, right) == 8, "layout");
static_assert(__builtin_offsetof(PairArguments, output) == 16, "layout");
static_assert(__builtin_offsetof(PairArguments, epilogue) == 24, "layout");
static_assert(__builtin_offsetof(PairArguments, items) == 48, "layout");
static_assert(__builtin_offsetof(PairArguments, channels) == 52, "layout");
static_assert(__builtin_offsetof(PairArguments, meant_channels) == 56, "layout");
static_assert(__builtin_offsetof(PairArguments, unused) == 60, "layout");
static_assert(__builtin_offsetof(PairArguments, by_chunks) == 64, "layout");
static_assert(__builtin_offsetof(PairArguments, by_repeats) == 72, "layout");
#endif

struct LinearArguments {
  u64 input;
  u64 weights;
  u64 bias;
  u64 output;
  EpilogueArguments epilogue;
  u32 rows;
  u32 inputs;
  u32 outputs;
  u32 output_blocks;
  Divisor by_output_blocks;
};
static_assert(sizeof(LinearArguments) == 80, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(LinearArguments, input) == 0, "layout");
static_assert(__builtin_offsetof(LinearArguments, weights) == 8, "layout");
static_assert(__builtin_offsetof(LinearArguments, bias) == 16, "layout");
static_assert(__builtin_offsetof(LinearArguments, output) == 24, "layout");
static_assert(__builtin_offsetof(LinearArguments, epilogue) == 32, "layout");
static_assert(__builtin_offsetof(LinearArguments, rows) == 56, "layout");
static_assert(__builtin_offsetof(LinearArguments, inputs) == 60, "layout");
static_assert(__builtin_offsetof(LinearArguments, outputs) == 64, "layout");
static_assert(__builtin_offsetof(LinearArguments, output_blocks) == 68, "layout");
static_assert(__builtin_offsetof(LinearArguments, by_output_blocks) == 72, "layout");
#endif

struct RowArguments {
  u64 input;
  u64 output;
  u64 indices;
  u32 columns;
  u32 count;
};
static_assert(sizeof(RowArguments) == 32, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(RowArguments, input) == 0, "layout");
static_assert(__builtin_offsetof(RowArguments, output) == 8, "layout");
static_assert(__builtin_offsetof(RowArguments, indices) == 16, "layout");
static_assert(__builtin_offsetof(RowArguments, columns) == 24, "layout");
static_assert(__builtin_offsetof(RowArguments, count) == 28, "layout");
#endif

struct ResizeArguments {
  u64 pictures;
  u64 numbers;
  u64 output;
  u32 out_height;
  u32 out_width;
  u32 channel_stride;
  u32 pixel_stride;
  u32 stored_channels;
  u32 column_tiles;
  Divisor by_column_tiles;
  Divisor by_picture_tiles;
  u64 picture_stride;
};
static_assert(sizeof(ResizeArguments) == 72, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(ResizeArguments, pictures) == 0, "layout");
static_assert(__builtin_offsetof(ResizeArguments, numbers) == 8, "layout");
static_assert(__builtin_offsetof(ResizeArguments, output) == 16, "layout");
static_assert(__builtin_offsetof(ResizeArguments, out_height) == 24, "layout");
static_assert(__builtin_offsetof(ResizeArguments, out_width) == 28, "layout");
static_assert(__builtin_offsetof(ResizeArguments, channel_stride) == 32, "layout");
static_assert(__builtin_offsetof(ResizeArguments, pixel_stride) == 36, "layout");
static_assert(__builtin_offsetof(ResizeArguments, stored_channels) == 40, "layout");
static_assert(__builtin_offsetof(ResizeArguments, column_tiles) == 44, "layout");
static_assert(__builtin_offsetof(ResizeArguments, by_column_tiles) == 48, "layout");
static_assert(__builtin_offsetof(ResizeArguments, by_picture_tiles) == 56, "layout");
static_assert(__builtin_offsetof(ResizeArguments, picture_stride) == 64, "layout");
#endif

struct AxisArguments {
  u64 starts;
  u64 weights;
  u32 taps;
  u32 count;
  u32 stride;
  u32 at;
  u32 source;
  u32 canvas_at;
  u32 canvas_count;
  u32 unused;
};
static_assert(sizeof(AxisArguments) == 48, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(AxisArguments, starts) == 0, "layout");
static_assert(__builtin_offsetof(AxisArguments, weights) == 8, "layout");
static_assert(__builtin_offsetof(AxisArguments, taps) == 16, "layout");
static_assert(__builtin_offsetof(AxisArguments, count) == 20, "layout");
static_assert(__builtin_offsetof(AxisArguments, stride) == 24, "layout");
static_assert(__builtin_offsetof(AxisArguments, at) == 28, "layout");
static_assert(__builtin_offsetof(AxisArguments, source) == 32, "layout");
static_assert(__builtin_offsetof(AxisArguments, canvas_at) == 36, "layout");
static_assert(__builtin_offsetof(AxisArguments, canvas_count) == 40, "layout");
static_assert(__builtin_offsetof(AxisArguments, unused) == 44, "layout");
#endif

struct PictureArguments {
  u64 pixels;
  AxisArguments first;
  AxisArguments second;
  u32 rows_first;
  u32 fill;
};
static_assert(sizeof(PictureArguments) == 112, "layout");
#ifndef __CUDACC_RTC__
static_assert(__builtin_offsetof(PictureArguments, pixels) == 0, "layout");
static_assert(__builtin_offsetof(PictureArguments, first) == 8, "layout");
static_assert(__builtin_offsetof(PictureArguments, second) == 56, "layout");
static_assert(__builtin_offsetof(PictureArguments, rows_first) == 104, "layout");
static_assert(__builtin_offsetof(PictureArguments, fill) == 108, "layout");
#endif
