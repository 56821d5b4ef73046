//! `cargo xtask fuzz`: coverage-guided fuzzing with the toolchain at hand, no cargo-fuzz needed.

use crate::command::{cargo, program, run};
use crate::workspace;
use anyhow::bail;
use std::path::PathBuf;

/// A fuzz target and where its first inputs come from.
struct Target {
    name: &'static str,
    seeds: &'static [&'static str],
    extensions: &'static [&'static str],
}

const TARGETS: [Target; 4] = [
    Target {
        name: "decode_image",
        seeds: &["tests/golden/decode"],
        extensions: &["jpg", "png", "webp", "gif", "bmp"],
    },
    Target { name: "import_onnx", seeds: &["tests/golden/onnx"], extensions: &["onnx"] },
    Target { name: "import_safetensors", seeds: &["tests/golden/directories"], extensions: &["safetensors"] },
    Target { name: "load_manifest", seeds: &["tests/golden/directories"], extensions: &["json"] },
];

/// Inputs longer than this are left out of the first ones: mutations of short ones reach further.
const LONGEST_SEED: u64 = 64 << 10;

/// What cargo-fuzz asks of rustc where no sanitizer is asked for.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// `[TARGET...] [--runs N | --seconds N]`: every target for a short while, unless told otherwise.
pub fn run_targets(arguments: &[String]) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    let mut limit = "-runs=3000".to_owned();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), TARGETS.iter().find(|target| target.name == word)) {
            (_, Some(target)) => wanted.push(target),
            ("--runs", _) => limit = format!("-runs={}", words.next().map_or("", String::as_str)),
            ("--seconds", _) => {
                limit = format!("-max_total_time={}", words.next().map_or("", String::as_str))
            }
            (other, _) => {
                let names = TARGETS.map(|target| target.name).join(", ");
                bail!("`{other}` is no target ({names}) and no option (--runs N, --seconds N)");
            }
        }
    }
    if wanted.is_empty() {
        wanted.extend(&TARGETS);
    }
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace::root().join("fuzz");
    let target_folder = workspace::target().join("fuzz");
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--locked", "--target", &triple, "--target-dir"]);
    run(build.arg(&target_folder).env("RUSTFLAGS", COVERAGE).current_dir(&folder))?;
    for target in wanted {
        let corpus = target_folder.join("corpus").join(target.name);
        std::fs::create_dir_all(&corpus)?;
        plant(target, &corpus)?;
        let binary = target_folder.join(&triple).join("release").join(target.name);
        // A fixed seed, so that the short form in the test command is the same each time.
        let mut fuzz =
            program(binary, ["-seed=1", "-verbosity=0", "-rss_limit_mb=2048", "-timeout=60", &limit]);
        run(fuzz.arg("-print_final_stats=1").arg(corpus).current_dir(&target_folder))?;
    }
    Ok(())
}

/// Copies the first inputs into the corpus.
fn plant(target: &Target, corpus: &std::path::Path) -> anyhow::Result<()> {
    for folder in target.seeds {
        for extension in target.extensions {
            let found: Vec<PathBuf> = workspace::files(&workspace::root().join(folder), extension)?;
            for (number, path) in found.iter().enumerate() {
                if path.metadata()?.len() <= LONGEST_SEED {
                    std::fs::copy(path, corpus.join(format!("{extension}-{number}")))?;
                }
            }
        }
    }
    Ok(())
}
