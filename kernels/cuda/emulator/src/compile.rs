//! Compiles the kernels and the emulator to a library, once for each state of the sources.

use anyhow::{Context, bail, ensure};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A change to a source, to see that the tests notice it.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// A file of `kernels/cuda`.
    pub file: &'static str,
    /// Text that stands there exactly once.
    pub from: &'static str,
    /// What takes its place.
    pub to: &'static str,
}

/// Optimised, since whole networks run through it; no fused multiply-add but where a kernel asks for one.
const FLAGS: &[&str] = &[
    "-std=c++20",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-x",
    "c++",
];
/// Vector instructions of every x86 CPU of the last ten years; others take their compiler's default.
const X86_FLAGS: &[&str] = if cfg!(target_arch = "x86_64") { &["-march=x86-64-v3"] } else { &[] };

/// One file with the text that is compiled.
struct Source {
    name: String,
    text: String,
}

/// The path of the library for the sources with `change` applied; compiles what has changed.
pub(crate) fn library(change: Option<&Change>) -> anyhow::Result<PathBuf> {
    let kernels =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the emulator lies beside the kernels")?;
    let mut sources = read(kernels, "")?;
    sources.extend(read(&kernels.join("emulator/host"), "emulator/host/")?);
    if let Some(change) = change {
        let found = sources.iter_mut().find(|source| source.name == change.file);
        let source = found.with_context(|| format!("no file {}", change.file))?;
        let count = source.text.matches(change.from).count();
        ensure!(count == 1, "{}: `{}` stands there {count} times, not once", change.file, change.from);
        source.text = source.text.replacen(change.from, change.to, 1);
    }
    build(&sources)
}

fn read(folder: &Path, prefix: &str) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("cu" | "cuh" | "h" | "cpp")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sources.push(Source { name: format!("{prefix}{name}"), text });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

fn build(sources: &[Source]) -> anyhow::Result<PathBuf> {
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let folder = target().join("cuda-emulator");
    let is_unit = |source: &&Source| source.name.ends_with(".cu") || source.name.ends_with(".cpp");
    let version = compiler_version()?;
    let mut library = DefaultHasher::new();
    let mut objects = Vec::new();
    for unit in sources.iter().filter(is_unit) {
        let mut hash = DefaultHasher::new();
        (FLAGS, X86_FLAGS, &version).hash(&mut hash);
        let mut seen = Vec::new();
        hash_with_includes(sources, unit, &mut seen, &mut hash);
        let hash = hash.finish();
        hash.hash(&mut library);
        objects.push((unit, folder.join(format!("{hash:016x}.o"))));
    }
    let library = folder.join(format!("{:016x}.so", library.finish()));
    if library.exists() {
        return Ok(library);
    }
    let work = folder.join(format!("work-{}-{}", std::process::id(), BUILDS.fetch_add(1, Ordering::Relaxed)));
    for source in sources {
        let path = work.join(&source.name);
        std::fs::create_dir_all(path.parent().unwrap_or(&work))?;
        std::fs::write(&path, &source.text)?;
    }
    let missing: Vec<_> = objects.iter().filter(|(_, object)| !object.exists()).collect();
    for pair in missing.chunks(2) {
        std::thread::scope(|scope| {
            let compiling: Vec<_> = pair
                .iter()
                .map(|(unit, object)| scope.spawn(|| compile(&work, &unit.name, object)))
                .collect();
            compiling
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a compiling thread panicked")))
        })?;
    }
    let mut link = Command::new(compiler());
    link.args(["-shared", "-o"]).arg(work.join("library.so")).args(objects.iter().map(|(_, object)| object));
    run(&mut link)?;
    std::fs::rename(work.join("library.so"), &library)?;
    // What is left is found and overwritten by the next build.
    let _ = std::fs::remove_dir_all(&work);
    Ok(library)
}

/// Hashes a source and, once each, those that it includes by name.
fn hash_with_includes<'a>(
    sources: &'a [Source],
    source: &'a Source,
    seen: &mut Vec<&'a str>,
    hash: &mut DefaultHasher,
) {
    if seen.contains(&source.name.as_str()) {
        return;
    }
    seen.push(&source.name);
    (&source.name, &source.text).hash(hash);
    for line in source.text.lines() {
        let included = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"'));
        let Some(name) = included else { continue };
        let found = |source: &&Source| source.name == name || source.name == format!("emulator/host/{name}");
        if let Some(included) = sources.iter().find(found) {
            hash_with_includes(sources, included, seen, hash);
        }
    }
}

fn compile(work: &Path, unit: &str, object: &Path) -> anyhow::Result<()> {
    let made = work.join(format!("{}.o", unit.replace('/', "-")));
    let mut command = Command::new(compiler());
    command
        .args(FLAGS)
        .args(X86_FLAGS)
        .arg("-I")
        .arg(work)
        .arg("-c")
        .arg(work.join(unit))
        .arg("-o")
        .arg(&made);
    run(&mut command)?;
    Ok(std::fs::rename(made, object)?)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run {command:?}; a C++20 compiler is needed"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn compiler() -> std::ffi::OsString {
    std::env::var_os("CXX").unwrap_or_else(|| "c++".into())
}

fn compiler_version() -> anyhow::Result<Vec<u8>> {
    let output = Command::new(compiler()).arg("--version").output();
    Ok(output.context("no C++ compiler: install g++, or name one in CXX")?.stdout)
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
