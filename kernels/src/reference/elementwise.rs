//! Activations, sums and products.

use crate::epilogue::Activation;

/// The function in f64, by its definition.
pub fn activation(function: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match function {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { low, high } => x.max(f64::from(low)).min(f64::from(high)),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x * sigmoid(x),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
    }
}

/// `activation(x)` of each value.
pub fn activate(function: Activation, x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| activation(function, f64::from(*x))).collect()
}

/// `activation(a + b)`. `b` is as long as `a`, or has one value per channel of `a`.
pub fn add(applied_last: Activation, a: &[f32], b: &[f32]) -> Vec<f64> {
    combine(a, b, |a, b| activation(applied_last, a + b))
}

/// `a * b`. `b` is as long as `a`, or has one value per channel of `a`.
pub fn mul(a: &[f32], b: &[f32]) -> Vec<f64> {
    combine(a, b, |a, b| a * b)
}

fn combine(a: &[f32], b: &[f32], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    assert!(!b.is_empty() && a.len().is_multiple_of(b.len()), "{} and {} values", a.len(), b.len());
    let pixels = a.len() / b.len();
    a.iter().enumerate().map(|(i, a)| f(f64::from(*a), f64::from(b[i / pixels]))).collect()
}
