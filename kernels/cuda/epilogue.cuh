// What follows the sums: bias, residual, activation, in this order, all in single precision.
#pragma once

#include "arguments.cuh"
#include "elements.cuh"

DEVICE float sigmoid(float x) { return quotient(1.0f, 1.0f + exponential(-x)); }
DEVICE float clip(float x, float low, float high) { return x < low ? low : (x > high ? high : x); }

template <int COUNT, class Function>
DEVICE void apply(float (&values)[COUNT], Function function) {
  UNROLL for (int i = 0; i < COUNT; i++) values[i] = function(values[i]);
}

// The same functions, numbers and order as `Activation` on the Rust side. NaN stays NaN. The choice is made once
// for all values: made for each, it would be most of a kernel's code.
template <int COUNT>
DEVICE void activate(const EpilogueArguments& epilogue, float (&values)[COUNT]) {
  float first = epilogue.first, second = epilogue.second;
  switch (epilogue.activation) {
    case ACTIVATION_RELU:
      return apply(values, [](float x) { return x < 0.0f ? 0.0f : x; });
    case ACTIVATION_CLIP:
      return apply(values, [=](float x) { return clip(x, first, second); });
    case ACTIVATION_SIGMOID:
      return apply(values, [](float x) { return sigmoid(x); });
    case ACTIVATION_SILU:
      return apply(values, [](float x) { return x * sigmoid(x); });
    case ACTIVATION_HARD_SIGMOID:
      return apply(values, [=](float x) { return clip(fused_multiply_add(first, x, second), 0.0f, 1.0f); });
    case ACTIVATION_HARD_SWISH:
      return apply(values, [](float x) { return x * clip(fused_multiply_add(x, 1.0f / 6.0f, 0.5f), 0.0f, 1.0f); });
    default:
      return;
  }
}

// Finishes eight channels of a pixel. `index` is that of the first value in residual and output.
template <Element E>
DEVICE void finish_channels(const EpilogueArguments& epilogue, float (&values)[8], const float (&bias)[8], u64 output, u64 index) {
  UNROLL for (int i = 0; i < 8; i++) values[i] += bias[i];
  if (epilogue.residual != 0) {
    float residual[8];
    load_channels<E>(residual, epilogue.residual, index);
    UNROLL for (int i = 0; i < 8; i++) values[i] += residual[i];
  }
  activate(epilogue, values);
  store_channels<E>(output, index, values);
}
