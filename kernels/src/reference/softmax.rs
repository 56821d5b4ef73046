//! Softmax.

/// `exp(v - largest) / sum of these`, of one row.
pub fn softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let exponentials: Vec<f64> = row.iter().map(|x| (f64::from(*x) - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}
