//! What a convolution, a matrix product or an addition does to a value before it is stored.

/// An element-wise function applied last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The value as it is.
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, low), high)`; ReLU6 is `Clip { low: 0.0, high: 6.0 }`.
    Clip {
        /// Smallest result.
        low: f32,
        /// Largest result.
        high: f32,
    },
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x * sigmoid(x)`
    Silu,
    /// `clip(alpha * x + beta, 0, 1)`
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * clip(x / 6 + 0.5, 0, 1)`
    HardSwish,
}

impl Activation {
    /// One of each kind, for tests that try all of them.
    pub const ONE_OF_EACH: [Activation; 7] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Clip { low: -0.5, high: 0.75 },
        Activation::Sigmoid,
        Activation::Silu,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::HardSwish,
    ];

    /// The value of the function, in the straightforward formula.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Activation::Identity => x,
            Activation::Relu => x.max(0.0),
            Activation::Clip { low, high } => x.max(low).min(high),
            Activation::Sigmoid => sigmoid(x),
            Activation::Silu => x * sigmoid(x),
            Activation::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Steps between the last multiplication and the store, in this order: bias, residual, activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue {
    /// Add a value per output channel.
    pub bias: bool,
    /// Add a tensor of the output's shape.
    pub residual: bool,
    /// Then apply this function.
    pub activation: Activation,
}

impl Epilogue {
    /// Store the sums as they are.
    pub const NONE: Epilogue = Epilogue { bias: false, residual: false, activation: Activation::Identity };
}
