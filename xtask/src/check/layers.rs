//! Imports inside the core point leftward: a module uses only modules that `lib.rs` lists before it.

use crate::workspace;
use anyhow::bail;

/// The order, as the core's `lib.rs` declares it.
fn order() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(workspace::root().join("core/src/lib.rs"))?;
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    Ok(modules.map(str::to_owned).collect())
}

/// Fails with one line per import that points rightward.
pub fn run() -> anyhow::Result<()> {
    let order = order()?;
    let source = workspace::root().join("core/src");
    let mut wrong = Vec::new();
    for path in workspace::files(&source, "rs")? {
        let relative = path.strip_prefix(&source)?;
        let first = relative.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let Some(place) = order.iter().position(|name| name == module) else { continue };
        for (number, line) in std::fs::read_to_string(&path)?.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for used in code.split("crate::").skip(1) {
                let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if order.iter().position(|other| *other == name).is_some_and(|other| other > place) {
                    wrong.push(format!(
                        "core/src/{}:{}: `{module}` uses `{name}`, which comes after it",
                        relative.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    if !wrong.is_empty() {
        bail!("imports must point leftward in {}\n{}", order.join(" < "), wrong.join("\n"));
    }
    println!("    {} modules, every import points leftward", order.len());
    Ok(())
}
