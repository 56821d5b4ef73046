//! Division by a number known at launch, as a multiplication and a shift (Granlund and Montgomery, "Division
//! by invariant integers using multiplication", 1994).

use super::arguments::{ArgumentBlock, Field, argument_block, definition};
use bytemuck::{Pod, Zeroable};

argument_block! {
    /// What the device needs to divide by a number; `divide` in `divisor.cuh` does it.
    Divisor {
        /// Numerator over 2^32, less one whole.
        multiplier: u32,
        /// Bits to drop.
        shift: u32,
    }
}

impl Divisor {
    /// The factors for a divisor from 1 to 2^31.
    pub fn new(divisor: u32) -> Self {
        assert!((1..=1 << 31).contains(&divisor), "divisor {divisor}");
        let shift = 32 - (divisor - 1).leading_zeros();
        let multiplier =
            ((1_u64 << 32) * ((1_u64 << shift) - u64::from(divisor)) / u64::from(divisor) + 1) as u32;
        Self { multiplier, shift }
    }

    /// `dividend / divisor` as the device computes it, for dividends below 2^31.
    pub fn divide(self, dividend: u32) -> u32 {
        let high = (u64::from(self.multiplier) * u64::from(dividend)) >> 32;
        ((high as u32).wrapping_add(dividend)) >> self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::Divisor;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        for divisor in [1, 2, 3, 7, 8, 9, 31, 32, 33, 224, 255, 65_535, (1 << 30) - 1, 1 << 30] {
            let by = Divisor::new(divisor);
            for dividend in [0, 1, divisor - 1, divisor, divisor + 1, 2 * divisor - 1, (1 << 31) - 1] {
                assert_eq!(by.divide(dividend), dividend / divisor, "{dividend} / {divisor}");
            }
        }
    }

    proptest! {
        #[test]
        fn equals_division(dividend in 0_u32..1 << 31, divisor in 1_u32..1 << 31) {
            prop_assert_eq!(Divisor::new(divisor).divide(dividend), dividend / divisor);
        }
    }
}
