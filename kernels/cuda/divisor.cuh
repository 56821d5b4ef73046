// Division by a number that the launch knows, as a multiplication (Granlund and Montgomery, "Division by
// invariant integers using multiplication", 1994). The Rust side computes the factors.
#pragma once

#include "arguments.cuh"

// floor(dividend / divisor), for dividends below 2^31.
DEVICE u32 divide(u32 dividend, Divisor by) { return (multiply_high(dividend, by.multiplier) + dividend) >> by.shift; }
