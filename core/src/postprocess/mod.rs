//! From a model's scores to labels.

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
