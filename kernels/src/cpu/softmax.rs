//! Softmax of plain rows, in place.

use super::simd::{Kernel, MAX_LANES, Vector, exp};
use super::variants::KernelSet;

/// Replaces each of `rows` equal rows of `x` by its softmax: `exp(v - largest) / sum of these`, so that no
/// exponential overflows. Panics if the rows do not divide `x` evenly.
pub fn softmax(set: &'static KernelSet, rows: usize, x: &mut [f32]) {
    if x.is_empty() {
        return;
    }
    assert!(rows > 0 && x.len().is_multiple_of(rows), "{} values do not make {rows} rows", x.len());
    let floats = x.len() / rows;
    for row in x.chunks_exact_mut(floats) {
        let row = SoftmaxRow { values: row.as_mut_ptr(), floats };
        // SAFETY: the row is ours; a kernel set exists only where the CPU has its instructions.
        unsafe { (set.softmax)(&row) };
    }
}

pub(crate) type SoftmaxFn = unsafe fn(&SoftmaxRow);

/// One row.
///
/// # Safety
/// `values` must hold `floats` floats, at least one.
pub(crate) struct SoftmaxRow {
    values: *mut f32,
    floats: usize,
}

impl Kernel for SoftmaxRow {
    type Arguments = SoftmaxRow;

    #[inline(always)]
    unsafe fn run<V: Vector>(row: &SoftmaxRow) {
        // SAFETY: passed on to the caller; the last vector goes through a buffer that holds one.
        unsafe {
            let whole = row.floats / V::LANES * V::LANES;
            let rest = row.floats - whole;
            // Lanes beyond the end hold minus infinity: their exponentials are set to zero below.
            let mut last = [f32::NEG_INFINITY; MAX_LANES];
            std::ptr::copy_nonoverlapping(row.values.add(whole), last.as_mut_ptr(), rest);

            let mut largest = V::load(last.as_ptr());
            let mut at = 0;
            while at < whole {
                largest = largest.max(V::load(row.values.add(at)));
                at += V::LANES;
            }
            let largest =
                V::splat(lanes(largest).into_iter().take(V::LANES).fold(f32::NEG_INFINITY, f32::max));

            let mut sum = V::splat(0.0);
            at = 0;
            while at < whole {
                let e = exp(V::load(row.values.add(at)).sub(largest));
                e.store(row.values.add(at));
                sum = sum.add(e);
                at += V::LANES;
            }
            exp(V::load(last.as_ptr()).sub(largest)).store(last.as_mut_ptr());
            last[rest..].fill(0.0);
            sum = sum.add(V::load(last.as_ptr()));
            let total = V::splat(lanes(sum).into_iter().take(V::LANES).sum());

            at = 0;
            while at < whole {
                V::load(row.values.add(at)).div(total).store(row.values.add(at));
                at += V::LANES;
            }
            V::load(last.as_ptr()).div(total).store(last.as_mut_ptr());
            std::ptr::copy_nonoverlapping(last.as_ptr(), row.values.add(whole), rest);
        }
    }
}

/// The lanes as an array; those beyond the vector are zero.
#[inline(always)]
unsafe fn lanes<V: Vector>(v: V) -> [f32; MAX_LANES] {
    let mut lanes = [0.0; MAX_LANES];
    // SAFETY: the array holds the widest vector.
    unsafe { v.store(lanes.as_mut_ptr()) };
    lanes
}
