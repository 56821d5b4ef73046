//! Copies the core's thread pool for the model check: once as it is, and once with each planted mistake.

include!("mistakes.rs");

use std::path::Path;
use std::{env, fs, io};

const POOL: &str = "../../core/src/backend/cpu/thread_pool";

fn main() -> io::Result<()> {
    for path in [POOL, "mistakes.rs", "src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let mut modules = copy(&out, "unchanged", None)?;
    let mut table = String::new();
    for (number, mistake) in MISTAKES.iter().enumerate() {
        let name = format!("mistake_{number}");
        modules += &copy(&out, &name, Some(mistake))?;
        table += &format!("{name}::tests::SCENARIOS, ");
    }
    modules += &format!("/// By number of the mistake.\nconst MISTAKEN: &[Scenarios] = &[{table}];\n");
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
        let mut text = fs::read_to_string(match file {
            "sync.rs" => Path::new("src/sync.rs"),
            "tests.rs" => Path::new("src/scenarios.rs"),
            _ => &path,
        })?;
        if let Some(mistake) = mistake.filter(|mistake| mistake.file == file) {
            let found = text.matches(mistake.right).count();
            assert!(
                found == 1,
                "{file}: {:?} is there {found} times; mistakes.rs wants it once",
                mistake.right
            );
            text = text.replace(mistake.right, mistake.wrong);
            is_planted = true;
        }
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
