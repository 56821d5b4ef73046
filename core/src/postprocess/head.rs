//! From logits to scores.

/// What turns logits into scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Classes exclude each other; scores sum to 1.
    Softmax,
    /// Each class is judged by itself; scores are between 0 and 1.
    Sigmoid,
    /// The model's outputs are scores already.
    Identity,
}

impl Head {
    /// Scores of one image, in place. Infinite logits and NaN give NaN, never a panic.
    pub fn apply(self, logits: &mut [f32]) {
        match self {
            Head::Softmax => softmax(logits),
            Head::Sigmoid => logits.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
            Head::Identity => {}
        }
    }
}

/// `exp(x - max) / sum`: the largest logit is taken off first, so that nothing overflows.
fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f64;
    for x in logits.iter_mut() {
        *x = (*x - max).exp();
        sum += f64::from(*x);
    }
    for x in logits {
        *x = (f64::from(*x) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn softmax_sums_to_one_for_any_size_of_logits() {
        for shift in [-1e30, -100.0, 0.0, 100.0, 1e30_f32] {
            let mut scores = [1.0 + shift, 2.0 + shift, 3.0 + shift];
            Head::Softmax.apply(&mut scores);
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{scores:?}");
        }
        let mut scores = [0.0, f32::ln(3.0)];
        Head::Softmax.apply(&mut scores);
        assert!((scores[0] - 0.25).abs() < 1e-6 && (scores[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn sigmoid_judges_each_class_by_itself() {
        let mut scores = [0.0, 100.0, -100.0];
        Head::Sigmoid.apply(&mut scores);
        assert_eq!(scores[0], 0.5);
        assert!(scores[1] > 0.999 && scores[2] < 0.001);
    }

    #[test]
    fn identity_changes_nothing() {
        let mut scores = [0.3, -7.0];
        Head::Identity.apply(&mut scores);
        assert_eq!(scores, [0.3, -7.0]);
    }
}
