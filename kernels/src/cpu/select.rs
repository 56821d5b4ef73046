//! Which kernels this process uses: chosen once, by the CPU or by the environment.

use super::variants::{self, KernelSet};
use std::fmt;
use std::sync::OnceLock;

/// Names an instruction set to use instead of the best one: `portable`, `avx2`, `avx512` or `neon`.
pub const ISA_VARIABLE: &str = "LIBVISION_CPU_ISA";

/// The environment asks for an instruction set that is not to be had here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectError {
    asked: String,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usable: Vec<_> = variants::usable_sets().map(|set| set.isa.name()).collect();
        write!(
            f,
            "{ISA_VARIABLE}: expected one of {} (what this CPU can run), found {:?}",
            usable.join(", "),
            self.asked
        )
    }
}

impl std::error::Error for SelectError {}

/// The kernels to use, the same for the life of the process: those that `LIBVISION_CPU_ISA` names, or the
/// best of this CPU. Fails if the variable names what this CPU cannot run.
pub fn select() -> Result<&'static KernelSet, SelectError> {
    static CHOICE: OnceLock<Result<&'static KernelSet, SelectError>> = OnceLock::new();
    CHOICE
        .get_or_init(|| match std::env::var_os(ISA_VARIABLE) {
            Some(word) if !word.is_empty() => by_name(&word.to_string_lossy()),
            _ => Ok(best()),
        })
        .clone()
}

/// As [`select`], for code that runs after its error has been reported: the best kernels then.
pub fn selected() -> &'static KernelSet {
    select().unwrap_or_else(|_| best())
}

/// The kernels of the instruction set with this name.
pub fn by_name(name: &str) -> Result<&'static KernelSet, SelectError> {
    variants::usable_sets()
        .find(|set| set.isa.name() == name)
        .ok_or_else(|| SelectError { asked: name.to_owned() })
}

fn best() -> &'static KernelSet {
    variants::usable_sets().next().expect("the portable set is always usable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_an_error_that_names_the_choices() {
        let message = by_name("sse9").expect_err("no such set").to_string();
        assert!(message.contains("LIBVISION_CPU_ISA") && message.contains("portable"), "{message}");
        assert!(message.contains("\"sse9\""), "{message}");
    }

    #[test]
    fn every_usable_set_is_found_by_its_name() {
        for set in variants::usable_sets() {
            assert!(std::ptr::eq(by_name(set.isa.name()).expect("usable"), set));
        }
    }
}
