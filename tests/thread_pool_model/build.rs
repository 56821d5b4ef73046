//! Copies the core's thread pool for the model check: once as it is, and once with each planted mistake.

include!("mistakes.rs");

use libvision_model_check::planted;
use std::path::Path;
use std::{env, fs, io};

const POOL: &str = "../../core/src/backend/cpu/thread_pool";

fn main() -> io::Result<()> {
    for path in [POOL, "mistakes.rs", "src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let copy = |name: &str, mistake: Option<&Mistake>| copy(&out, name, mistake);
    let modules = libvision_model_check::modules(MISTAKES, "tests::SCENARIOS", copy)?;
    fs::write(Path::new(&out).join("pools.rs"), modules)
}

/// A folder with the pool on loom's primitives, and the line that declares it a module.
fn copy(out: &str, name: &str, mistake: Option<&Mistake>) -> io::Result<String> {
    let folder = Path::new(out).join(name);
    fs::create_dir_all(&folder)?;
    let mut is_planted = mistake.is_none();
    for entry in fs::read_dir(POOL)? {
        let path = entry?.path();
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let text = fs::read_to_string(match file {
            "sync.rs" => Path::new("src/sync.rs"),
            "tests.rs" => Path::new("src/scenarios.rs"),
            _ => &path,
        })?;
        let mut text = planted(text, file, mistake);
        is_planted |= mistake.is_some_and(|mistake| mistake.file == file);
        if file == "mod.rs" {
            text = text.replace("\nmod tests;", "\npub(crate) mod tests;");
        }
        fs::write(folder.join(file), text)?;
    }
    assert!(is_planted, "{name}: no such file");
    let path = folder.join("mod.rs");
    let allowed = "allow(dead_code, unused_imports, reason = \"the pool of a process is not modelled\")";
    Ok(format!("#[path = {path:?}]\n#[{allowed}]\nmod {name};\n"))
}
