//! The instruction sets that kernels are written for.

use std::fmt;

/// An instruction set. A [`KernelSet`](super::variants::KernelSet) of one can be reached only if the CPU
/// has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust: what the target guarantees.
    Portable,
    /// x86-64 with AVX2 and FMA: vectors of 8 floats.
    Avx2Fma,
    /// x86-64 with AVX-512F besides: vectors of 16 floats.
    Avx512,
    /// AArch64: two vectors of 4 floats used as one of 8.
    Neon,
}

impl Isa {
    /// The word for it in kernel names and in `LIBVISION_CPU_ISA`.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2Fma => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// Whether this CPU, under this operating system, can run it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2Fma => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Isa::Avx2Fma.is_available() && is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns, reason = "which sets remain depends on the target")]
            _ => false,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
