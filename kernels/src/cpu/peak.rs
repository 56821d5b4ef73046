//! The rate of multiply-adds that no kernel can exceed: a loop of them in registers, measured.

use super::simd::{Kernel, Vector, unroll};
use super::variants::KernelSet;
use crate::parallel::Parallel;
use std::time::Instant;

/// Passes of the loop in one task: some microseconds.
const PASSES: usize = 2048;
/// Tasks per thread: enough that a thread which comes late matters little.
const TASKS_PER_THREAD: usize = 16;
/// Times that each loop is measured; the best counts, because a pause says nothing about the core.
const BURSTS: usize = 2;

pub(crate) struct PeakArguments {
    passes: usize,
    /// Takes one number, so that the loop is not removed.
    result: *mut f32,
}

pub(crate) type PeakFn = unsafe fn(&PeakArguments);

/// `CHAINS` vectors that wait for nothing but themselves.
///
/// # Safety
/// `result` must be writable.
pub(crate) struct MultiplyAdds<const CHAINS: usize>;

/// Chains of the loops that are tried. Twelve hide the latency of two units and leave registers for the
/// operands; where a vector takes several registers, six do.
pub(crate) const CHAINS: [usize; 2] = [12, 6];

impl<const CHAINS: usize> Kernel for MultiplyAdds<CHAINS> {
    type Arguments = PeakArguments;

    #[inline(always)]
    unsafe fn run<V: Vector>(arguments: &PeakArguments) {
        // SAFETY: passed on to the caller; the last store goes to an array of as many floats.
        unsafe {
            // Different from each other, so that they stay apart, and drawn towards 2: never subnormal. None starts at
            // 2, where it would stay and need no multiply-add.
            let mut sums = [V::splat(0.0); CHAINS];
            unroll!(i < CHAINS, { sums[i] = V::splat(i as f32 + 0.25) });
            let (half, one) = (V::splat(0.5), V::splat(1.0));
            for _ in 0..arguments.passes {
                unroll!(i < CHAINS, { sums[i] = sums[i].mul_add(half, one) });
            }
            let mut total = sums[0];
            for sum in &sums[1..] {
                total = total.add(*sum);
            }
            let mut lanes = [0f32; super::simd::MAX_LANES];
            total.store(lanes.as_mut_ptr());
            *arguments.result = lanes.iter().sum();
        }
    }
}

/// Floating-point operations per second, two for a multiply-add, that the threads of `parallel` reach
/// together while they touch no memory. Takes about a millisecond.
pub fn peak_flops(set: &'static KernelSet, parallel: &dyn Parallel) -> f64 {
    let tasks = TASKS_PER_THREAD * parallel.threads();
    let loops = set.peak.iter().zip(CHAINS);
    let rate = |(enter, chains): (&PeakFn, usize)| {
        let started = Instant::now();
        parallel.for_each(tasks, &|_| {
            let mut result = 0.0;
            let arguments = PeakArguments { passes: PASSES, result: &raw mut result };
            // SAFETY: a kernel set is proof of its instruction set, and `result` is writable.
            unsafe { enter(&arguments) };
            std::hint::black_box(result);
        });
        (2 * chains * set.lanes * PASSES * tasks) as f64 / started.elapsed().as_secs_f64()
    };
    loops.flat_map(|each| [each; BURSTS]).map(rate).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::variants::usable_sets;
    use crate::parallel::Serial;

    #[test]
    fn the_loops_converge_to_two_in_every_lane() {
        for set in usable_sets() {
            for (enter, chains) in set.peak.iter().zip(CHAINS) {
                let mut result = 0.0;
                // SAFETY: a kernel set is proof of its instruction set, and `result` is writable.
                unsafe { enter(&PeakArguments { passes: 40, result: &raw mut result }) };
                assert_eq!(result, (2 * chains * set.lanes) as f32, "{} {chains}", set.isa);
            }
        }
    }

    #[test]
    fn a_rate_is_measured() {
        for set in usable_sets() {
            let rate = peak_flops(set, &Serial);
            assert!(rate.is_finite() && rate > 0.0, "{} {rate}", set.isa);
        }
    }
}
