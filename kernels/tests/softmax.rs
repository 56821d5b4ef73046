//! Softmax: each usable kernel set against the reference.

mod support;

use libvision_kernels::cpu::softmax::softmax;
use libvision_kernels::cpu::variants::usable_sets;
use libvision_kernels::reference;
use support::{Random, bits};

/// Largest error of a probability.
const TOLERANCE: f64 = 1e-6;

#[test]
fn awkward_lengths_and_ranges() {
    for length in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 114, 1000] {
        for scale in [1.0, 30.0, 1e4, 1e30] {
            let x = Random::new(length as u64).values(3 * length, scale);
            for set in usable_sets() {
                let mut y = x.clone();
                softmax(set, 3, &mut y);
                for (row, got) in x.chunks_exact(length).zip(y.chunks_exact(length)) {
                    for (got, expected) in got.iter().zip(reference::softmax::softmax(row)) {
                        let difference = (f64::from(*got) - expected).abs();
                        assert!(difference <= TOLERANCE, "{length} values up to {scale}: {difference:e}");
                    }
                    let sum: f64 = got.iter().map(|p| f64::from(*p)).sum();
                    assert!((sum - 1.0).abs() <= 1e-5, "sum {sum}");
                }
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    for set in usable_sets() {
        let x = Random::new(9).values(4 * 37, 5.0);
        let mut all = x.clone();
        softmax(set, 4, &mut all);
        for (row, got) in x.chunks_exact(37).zip(all.chunks_exact(37)) {
            let mut alone = row.to_vec();
            softmax(set, 1, &mut alone);
            assert_eq!(bits(&alone), bits(got));
        }
    }
}

#[test]
fn nothing_is_left_alone() {
    for set in usable_sets() {
        softmax(set, 0, &mut []);
        softmax(set, 5, &mut []);
    }
}
