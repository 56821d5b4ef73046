//! Resizing 8-bit RGB, equal to [`reference::resize`](crate::reference::resize) bit for bit, computing
//! only the rows and columns that the window needs.
//!
//! | file | job |
//! | --- | --- |
//! | `plan` | geometry and coefficients, computed once for pictures of one size |
//! | `portable`, `avx2`, `avx512` | the two passes, one instruction set each |

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod four_rows;
mod plan;
mod portable;

pub use crate::reference::resize::{Filter, Rect, ResizeGeometry};
pub use plan::{Axis, ResizePlan};

use super::isa::Isa;
use super::select;
use std::sync::OnceLock;

/// The rows of a picture: interleaved RGB, row after row at a fixed distance.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// From the first byte of the first row on.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Where a pass writes.
pub struct RowsMut<'a> {
    /// From the first byte of the first row on.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Resamples the columns of `rows` rows: `axis.len()` pixels per row of the output.
pub type HorizontalFn = fn(axis: &Axis, input: Rows<'_>, rows: usize, output: RowsMut<'_>);

/// Resamples rows of `bytes` bytes: `axis.len()` rows of the output.
pub type VerticalFn = fn(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>);

/// The passes for one instruction set. A value of this type is proof that the CPU has it: the only ways
/// to one are [`usable`] and [`selected`].
pub struct ResizeKernels {
    /// `u8_resize_<isa>`
    pub name: &'static str,
    /// The instruction set it belongs to.
    pub isa: Isa,
    horizontal: HorizontalFn,
    vertical: VerticalFn,
    available: fn() -> bool,
}

/// Best first; the portable one is always the last.
static KERNELS: &[ResizeKernels] = &[
    #[cfg(target_arch = "x86_64")]
    ResizeKernels {
        name: "u8_resize_avx512",
        isa: Isa::Avx512,
        horizontal: avx512::horizontal,
        vertical: avx512::vertical,
        available: avx512::available,
    },
    #[cfg(target_arch = "x86_64")]
    ResizeKernels {
        name: "u8_resize_avx2",
        isa: Isa::Avx2Fma,
        horizontal: avx2::horizontal,
        vertical: avx2::vertical,
        available: avx2::available,
    },
    ResizeKernels {
        name: "u8_resize_portable",
        isa: Isa::Portable,
        horizontal: portable::horizontal,
        vertical: portable::vertical,
        available: || true,
    },
];

/// The kernels that this CPU can run, the best first.
pub fn usable() -> impl Iterator<Item = &'static ResizeKernels> {
    KERNELS.iter().filter(|kernels| (kernels.available)())
}

/// The kernels that this process uses: the best of this CPU, or of the instruction set that
/// [`LIBVISION_CPU_ISA`](select::ISA_VARIABLE) names.
pub fn selected() -> &'static ResizeKernels {
    static CHOICE: OnceLock<&ResizeKernels> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let chosen = select::selected().isa;
        let allowed = |isa| isa == chosen || isa == Isa::Portable || chosen == Isa::Avx512;
        usable().find(|kernels| allowed(kernels.isa)).expect("the portable kernels are always usable")
    })
}
