//! One generated file: written, or compared with what is committed.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// What is done with the generated text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Replace the committed file.
    Write,
    /// Fail if the committed file differs.
    Check,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes `text` to `path` (relative to the root), or fails if another text is there.
pub(crate) fn write_or_compare(path: &str, text: &str, mode: Mode) -> Result<()> {
    let file = root().join(path);
    match mode {
        Mode::Write => {
            std::fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
            println!("wrote {path}");
        }
        Mode::Check => {
            let committed = std::fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
            if committed != text {
                let line =
                    committed.lines().zip(text.lines()).take_while(|(old, new)| old == new).count() + 1;
                bail!("{path} is stale from line {line} on: run the generator without --check and commit");
            }
            println!("{path} is up to date");
        }
    }
    Ok(())
}
