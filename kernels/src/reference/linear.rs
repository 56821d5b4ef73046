//! Fully connected layers.

use super::elementwise::activation;
use crate::epilogue::Activation;

/// `activation(weights * x + bias)` of one row. `weights` is `[outputs, inputs]` with `inputs = x.len()`.
pub fn linear(x: &[f32], weights: &[f32], bias: Option<&[f32]>, applied_last: Activation) -> Vec<f64> {
    let rows = weights.chunks_exact(x.len());
    rows.enumerate()
        .map(|(o, row)| {
            let products = row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            activation(applied_last, products.sum::<f64>() + bias.map_or(0.0, |bias| f64::from(bias[o])))
        })
        .collect()
}
