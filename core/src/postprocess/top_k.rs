//! The best classes of one image.

use std::cmp::Ordering;

/// A class and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Position among the scores.
    pub class_index: usize,
    /// Its score.
    pub score: f32,
}

/// Puts the `k` best of `scores` in the place of what `ranked` holds, without those below `min_score`, best first. Equal
/// scores are in order of their class. NaN comes after every number and is below no score, so that it is seen and not
/// taken for an answer.
pub fn top_k(scores: &[f32], k: usize, min_score: f32, ranked: &mut Vec<Ranked>) {
    let is_below = |score: f32| score < min_score;
    let classes = scores.iter().enumerate().filter(|(_, score)| !is_below(**score));
    ranked.clear();
    ranked.extend(classes.map(|(class_index, &score)| Ranked { class_index, score }));
    if k < ranked.len() {
        ranked.select_nth_unstable_by(k, best_first);
        ranked.truncate(k);
    }
    ranked.sort_unstable_by(best_first);
}

fn best_first(a: &Ranked, b: &Ranked) -> Ordering {
    let by_score = b.score.partial_cmp(&a.score);
    by_score
        .unwrap_or_else(|| a.score.is_nan().cmp(&b.score.is_nan()))
        .then(a.class_index.cmp(&b.class_index))
}

#[cfg(test)]
mod tests {
    use super::top_k;

    fn classes(scores: &[f32], k: usize, min_score: f32) -> Vec<usize> {
        let mut ranked = Vec::new();
        top_k(scores, k, min_score, &mut ranked);
        ranked.into_iter().map(|r| r.class_index).collect()
    }

    #[test]
    fn best_first_and_ties_by_class() {
        assert_eq!(classes(&[0.1, 0.4, 0.1, 0.4], 3, 0.0), [1, 3, 0]);
        assert_eq!(classes(&[-0.0, 0.0, -0.0], 3, 0.0), [0, 1, 2]);
        assert_eq!(classes(&[0.1, 0.4], 5, 0.0), [1, 0]);
        assert!(classes(&[], 5, 0.0).is_empty());
    }

    #[test]
    fn nothing_below_the_least_score_and_nan_last() {
        assert_eq!(classes(&[0.1, 0.3, 0.4, 0.2], 5, 0.2), [2, 1, 3]);
        assert_eq!(classes(&[0.1, f32::NAN, 0.4, f32::NAN], 5, 0.0), [2, 0, 1, 3]);
        assert_eq!(classes(&[f32::NAN, -f32::NAN, f32::NEG_INFINITY], 1, f32::NEG_INFINITY), [2]);
        assert_eq!(classes(&[f32::NAN; 3], 2, 0.0), [0, 1]);
    }

    #[test]
    fn agrees_with_a_full_sort() {
        let scores: Vec<f32> = (0..1000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect();
        let all = classes(&scores, 1000, 0.0);
        for k in [1, 2, 5, 100, 999] {
            assert_eq!(classes(&scores, k, 0.0), all[..k]);
        }
    }
}
