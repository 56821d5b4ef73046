//! The devices that images are made for.

use anyhow::{Context, Result, ensure};

/// One target of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Major and minor compute capability, as in 80.
    pub(crate) capability: u32,
    /// Text for the driver to compile, or code.
    pub(crate) ptx: bool,
}

/// Code for each family of devices, and text for those that come later.
pub(crate) const TARGETS: &[Target] = &[
    Target { capability: 75, ptx: false },
    Target { capability: 80, ptx: false },
    Target { capability: 90, ptx: false },
    Target { capability: 100, ptx: false },
    Target { capability: 120, ptx: false },
    Target { capability: 75, ptx: true },
    Target { capability: 80, ptx: true },
];

/// The version that PTX is relabelled with: every driver from R520 on reads it, and the kernels use nothing newer.
const PTX_VERSION: &str = ".version 7.8";

impl Target {
    /// The compiler's name for it, also that of its folder.
    pub(crate) fn name(self) -> String {
        format!("{}_{}", if self.ptx { "compute" } else { "sm" }, self.capability)
    }

    /// Whether kernels with bf16 matrix instructions are compiled for it.
    pub(crate) fn has_bf16(self) -> bool {
        self.capability >= 80
    }

    /// Whether copies to shared memory go through registers.
    pub(crate) fn copies_in_registers(self) -> bool {
        self.capability < 80
    }

    /// The file name of a module's image.
    pub(crate) fn file(self, module: &str) -> String {
        format!("{}/{module}.{}.zst", self.name(), if self.ptx { "ptx" } else { "cubin" })
    }
}

/// The text with a `.version` that older drivers accept.
pub(crate) fn lower_version(ptx: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(ptx).context("PTX is not text")?.trim_end_matches('\0');
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(".version ")).collect();
    ensure!(lines.len() == 1, "PTX has {} .version lines, expected one", lines.len());
    // Hints to newer assemblers, which older ones take for mistakes.
    let kept = text.lines().filter(|line| !line.trim_start().starts_with(".pragma \"used_bytes_mask"));
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    Ok(kept.replacen(lines[0], PTX_VERSION, 1).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::lower_version;

    #[test]
    fn the_version_is_lowered_and_nothing_else() {
        let made = lower_version(b"// x\n.version 8.8\n\t.pragma \"used_bytes_mask 1\";\n.target sm_80\n\0")
            .expect("one version");
        assert_eq!(made, b"// x\n.version 7.8\n.target sm_80\n");
        assert!(lower_version(b".target sm_80\n").is_err());
    }
}
