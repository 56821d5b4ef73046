//! The device sources, as the compiler is given them.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A file of `kernels/cuda`.
pub(crate) struct Source {
    /// Its name, by which others include it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// All `.cu` and `.cuh` files, in order of their names.
pub(crate) fn read(kernels: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let folder = kernels.join("cuda");
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("cu" | "cuh")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.push(Source { name, text });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

/// What the images depend on: names and texts of all sources.
pub(crate) fn hash(sources: &[Source]) -> String {
    let mut hash = Sha256::new();
    for source in sources {
        for part in [&source.name, &source.text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
