//! One version in every package.

use crate::workspace;
use anyhow::{Context, bail};
use serde_json::Value;

/// Compares the packages that cannot inherit the version with the root manifest's.
pub fn run() -> anyhow::Result<()> {
    let version = workspace::version()?;
    let root = workspace::root();
    let mut wrong = Vec::new();
    for path in workspace::files(root, "toml")? {
        if path.file_name().is_some_and(|name| name == "Cargo.toml") {
            let text = std::fs::read_to_string(&path)?;
            let own = text.contains("\n[package]") || text.starts_with("[package]");
            let standalone = text.contains("[workspace]");
            if own && !standalone && !text.contains("version.workspace = true") {
                wrong.push(format!("{}: no version.workspace = true", path.display()));
            }
        }
    }
    for path in workspace::files(&root.join("bindings/node"), "json")? {
        if path.file_name().is_some_and(|name| name == "package.json") {
            let text = std::fs::read_to_string(&path)?;
            let package: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            if package["version"] != version.as_str() {
                wrong.push(format!("{}: version {}, not {version}", path.display(), package["version"]));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("    every package has version {version}");
    Ok(())
}
