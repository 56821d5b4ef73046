//! Licences, bans and sources of all crates, by the rules in `deny.toml`. The checks of `cargo deny check
//! licenses bans sources` that this project uses, without the minutes that building cargo-deny takes.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Fails with a line per crate that breaks a rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    let rules = Rules::read(&root.join("deny.toml"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root)
        .output()?;
    if !metadata.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    }
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let wrong: Vec<String> = packages.iter().filter_map(|package| rules.complaint(package)).collect();
    if !wrong.is_empty() {
        bail!("deny.toml is broken by\n{}", wrong.join("\n"));
    }
    println!("    {} crates keep the rules of deny.toml", packages.len());
    Ok(())
}

struct Rules {
    allowed: BTreeSet<String>,
    /// Crate, and the licences that only it may have.
    exceptions: Vec<(String, BTreeSet<String>)>,
    banned: BTreeSet<String>,
}

impl Rules {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let rules: toml::Table = text.parse()?;
        let names = |value: &toml::Value| -> Option<BTreeSet<String>> {
            value.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect()
        };
        let exception = |value: &toml::Value| {
            Some((value.get("name")?.as_str()?.to_owned(), names(value.get("allow")?)?))
        };
        let read = || {
            let licenses = rules.get("licenses")?;
            let banned = rules.get("bans")?.get("deny")?.as_array()?;
            Some(Self {
                allowed: names(licenses.get("allow")?)?,
                exceptions: licenses
                    .get("exceptions")?
                    .as_array()?
                    .iter()
                    .map(exception)
                    .collect::<Option<_>>()?,
                banned: banned
                    .iter()
                    .map(|b| Some(b.get("name")?.as_str()?.to_owned()))
                    .collect::<Option<_>>()?,
            })
        };
        read().context("deny.toml: licenses.allow, licenses.exceptions or bans.deny is missing or malformed")
    }

    fn complaint(&self, package: &Value) -> Option<String> {
        let name = package["name"].as_str().unwrap_or_default();
        if self.banned.contains(name) {
            return Some(format!("{name}: banned"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| {
            !source.starts_with("registry+https://github.com/rust-lang/crates.io-index")
        }) {
            return Some(format!("{name}: comes from {source:?}, not from crates.io"));
        }
        let Some(license) = package["license"].as_str() else {
            return Some(format!("{name}: names no licence"));
        };
        let expression = match spdx::Expression::parse_mode(license, spdx::ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("{name}: licence {license:?}: {error}")),
        };
        let exception = self.exceptions.iter().find(|(of, _)| of == name).map(|(_, allowed)| allowed);
        let is_allowed = expression.evaluate(|requirement| {
            let id = requirement.license.id().map_or_else(String::new, |id| id.name.to_owned());
            self.allowed.contains(&id) || exception.is_some_and(|allowed| allowed.contains(&id))
        });
        (!is_allowed).then(|| format!("{name}: licence {license} is not allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::Rules;
    use serde_json::json;

    fn rules() -> Rules {
        Rules {
            allowed: ["MIT".to_owned()].into(),
            exceptions: vec![("special".into(), ["MPL-2.0".to_owned()].into())],
            banned: ["tokio".to_owned()].into(),
        }
    }

    #[test]
    fn each_rule_can_be_broken() {
        let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
        let package = |name: &str, license: &str, source: &str| json!({"name": name, "license": license, "source": source});
        let complaint =
            |name: &str, license: &str, source: &str| rules().complaint(&package(name, license, source));
        assert_eq!(complaint("a", "MIT OR GPL-3.0", crates_io), None);
        assert_eq!(complaint("special", "MPL-2.0", crates_io), None);
        assert!(complaint("a", "MPL-2.0", crates_io).unwrap().contains("MPL-2.0"));
        assert!(complaint("a", "MIT AND GPL-3.0", crates_io).is_some());
        assert!(complaint("tokio", "MIT", crates_io).unwrap().contains("banned"));
        assert!(complaint("a", "MIT", "git+https://example.com/a").unwrap().contains("crates.io"));
        assert!(rules().complaint(&json!({"name": "a", "license": null})).unwrap().contains("no licence"));
    }
}
