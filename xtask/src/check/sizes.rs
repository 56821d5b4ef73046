//! Files and functions that have grown long, for a person to judge.

use crate::workspace;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// Prints them; never fails.
pub fn run() -> anyhow::Result<()> {
    let root = workspace::root();
    let mut lengths = Vec::new();
    for path in workspace::files(root, "rs")? {
        let text = std::fs::read_to_string(&path)?;
        if text.contains("@generated") {
            continue;
        }
        let shown = path.strip_prefix(root)?.display().to_string();
        let lines: Vec<&str> = text.lines().collect();
        lengths.push(lines.len());
        if lines.len() > FILE_LINES {
            println!("{shown}: {} lines", lines.len());
        }
        for (name, length) in functions(&lines) {
            if length > FUNCTION_LINES {
                println!("{shown}: fn {name}: {length} lines");
            }
        }
    }
    lengths.sort_unstable();
    let at = |share: usize| lengths.get(lengths.len() * share / 100).copied().unwrap_or(0);
    println!("{} files, median {} lines, p90 {} lines", lengths.len(), at(50), at(90));
    Ok(())
}

/// Name and length of each function, found by the closing brace at the indentation of its `fn` (which
/// rustfmt guarantees).
fn functions(lines: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let Some(at) = code.find("fn ") else { continue };
        let modifiers = code[..at].split_whitespace();
        if !modifiers.into_iter().all(|w| w.starts_with("pub") || matches!(w, "unsafe" | "const" | "async")) {
            continue;
        }
        let name = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = lines[start..].iter().position(|l| l.len() == indent + 1 && l.trim() == "}");
        found.extend(end.map(|length| (name, length + 1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::functions;

    #[test]
    fn functions_end_at_their_own_brace() {
        let text = "impl A {\n    pub fn one() {\n        if x {\n        }\n    }\n}\nfn two() {\n}\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(functions(&lines), [("one".to_owned(), 4), ("two".to_owned(), 2)]);
    }
}
