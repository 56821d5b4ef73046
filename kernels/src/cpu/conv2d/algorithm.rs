//! The ways to compute a convolution among which there is a choice, by name.

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvAlgorithm {
    /// Sums of products of inputs and weights.
    Direct,
    /// Winograd's for 3x3 windows, tiles of 2x2 outputs.
    WinogradF2,
    /// Winograd's for 3x3 windows, tiles of 4x4 outputs.
    WinogradF4,
    /// The same, with weights that are transformed each time they are used: fewer bytes come from memory.
    WinogradF4AtUse,
    /// Winograd's for 3x3 windows, tiles of 5x5 outputs, with weights that are transformed in the same way.
    WinogradF5,
    /// Winograd's for 3x3 windows and stride 2, tiles of 4x4 outputs.
    WinogradF4Stride2,
}

impl ConvAlgorithm {
    /// All of them.
    pub const ALL: [ConvAlgorithm; 6] = [
        ConvAlgorithm::Direct,
        ConvAlgorithm::WinogradF2,
        ConvAlgorithm::WinogradF4,
        ConvAlgorithm::WinogradF4AtUse,
        ConvAlgorithm::WinogradF5,
        ConvAlgorithm::WinogradF4Stride2,
    ];

    /// The name in profiles and tuning files.
    pub const fn name(self) -> &'static str {
        match self {
            ConvAlgorithm::Direct => "direct",
            ConvAlgorithm::WinogradF2 => "winograd f2x2",
            ConvAlgorithm::WinogradF4 => "winograd f4x4",
            ConvAlgorithm::WinogradF4AtUse => "winograd f4x4 at use",
            ConvAlgorithm::WinogradF5 => "winograd f5x5",
            ConvAlgorithm::WinogradF4Stride2 => "winograd f4x4 stride 2",
        }
    }

    /// The algorithm of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again() {
        for algorithm in ConvAlgorithm::ALL {
            assert_eq!(ConvAlgorithm::by_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(ConvAlgorithm::by_name("fft"), None);
    }
}
