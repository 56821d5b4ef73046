//! Copies what the engine's threads share for the model check: once as it is, and once with each planted mistake.

include!("mistakes.rs");

use libvision_model_check::planted;
use std::path::Path;
use std::{env, fs, io};

const ENGINE: &str = "../../core/src/engine";

/// Of the engine: everything that its threads meet in, down to the machine.
const FILES: &[&str] = &[
    "cache.rs",
    "clock.rs",
    "completion.rs",
    "hand_over.rs",
    "memory_plan.rs",
    "metrics.rs",
    "model_id.rs",
    "panic.rs",
    "pool.rs",
    "readiness.rs",
    "refusal.rs",
    "request.rs",
    "scheduler.rs",
    "spans.rs",
    "tenant.rs",
    "trace.rs",
    "trace_context.rs",
];

/// What stands in the copies instead: loom's primitives, and what the scenarios must reach.
const REPLACED: &[(&str, &str)] = &[
    ("use parking_lot::", "use crate::sync::"),
    ("use crossbeam::channel::", "use crate::sync::channel::"),
    (
        "    fn wait(&self, timeout: Option<Duration>) {",
        "    pub fn wait(&self, timeout: Option<Duration>) {",
    ),
];

fn main() -> io::Result<()> {
    for path in [ENGINE, "mistakes.rs", "src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let copy = |name: &str, mistake: Option<&Mistake>| copy(&out, name, mistake);
    let modules = libvision_model_check::modules(MISTAKES, "scenarios::SCENARIOS", copy)?;
    fs::write(Path::new(&out).join("engines.rs"), modules)
}

/// They run in the core.
fn without_tests(text: &str) -> String {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// A folder with the files on loom's primitives, and the line that declares it a module.
fn copy(out: &str, name: &str, mistake: Option<&Mistake>) -> io::Result<String> {
    let folder = Path::new(out).join(name);
    fs::create_dir_all(folder.join("machine"))?;
    let mut modules = String::from("pub mod machine;\npub mod scenarios;\n");
    for file in FILES {
        let text = without_tests(&fs::read_to_string(Path::new(ENGINE).join(file))?);
        let mut text = planted(text, file, mistake);
        for (right, wrong) in REPLACED {
            text = text.replace(right, wrong);
        }
        fs::write(folder.join(file), text)?;
        modules += &format!("mod {};\n", file.trim_end_matches(".rs"));
    }
    assert!(mistake.is_none_or(|mistake| FILES.contains(&mistake.file)), "{name}: no such file");
    modules += "use request::*;\nuse tenant::*;\n";
    for entry in fs::read_dir(Path::new(ENGINE).join("machine"))? {
        let path = entry?.path();
        let copy = folder.join("machine").join(path.file_name().unwrap_or_default());
        fs::write(copy, without_tests(&fs::read_to_string(&path)?))?;
    }
    fs::copy("src/scenarios.rs", folder.join("scenarios.rs"))?;
    fs::write(folder.join("mod.rs"), modules)?;
    let path = folder.join("mod.rs");
    let allowed = "allow(warnings, reason = \"a part of the engine, without what uses the rest of it\")";
    Ok(format!("#[path = {path:?}]\n#[{allowed}]\nmod {name};\n"))
}
