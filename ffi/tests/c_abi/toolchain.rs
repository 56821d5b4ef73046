//! The C and C++ compilers of this machine, and the libraries under test. They are required: a test of the
//! C ABI without a C compiler would be none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a program gets at the library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// libvision.so.
    Shared,
    /// libvision.a.
    Static,
    /// Not at all.
    Nothing,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file `name` that cargo built beside this test, which depends on the crate.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let file = test.with_file_name(name);
    assert!(file.exists(), "cargo built no {}", file.display());
    file
}

/// Compiles `source` with `flags` (which start with the compiler) to `program`.
pub fn compile(flags: &[&str], source: &Path, link: Link, program: &Path) -> Result<(), String> {
    let mut command = Command::new(flags[0]);
    command.args(&flags[1..]).args(["-Wall", "-Wextra", "-Werror", "-g", "-I"]).arg(root().join("include"));
    command.arg(source).arg("-o").arg(program);
    match link {
        Link::Nothing => {}
        Link::Static => drop(command.arg(built("libvision.a"))),
        Link::Shared => {
            let folder = program.with_file_name("lib");
            link_as_installed(&folder);
            command.arg("-L").arg(&folder).arg("-lvision").arg(format!("-Wl,-rpath,{}", folder.display()));
        }
    }
    if link != Link::Nothing {
        command.args(["-lpthread", "-ldl", "-lm"]);
    }
    success(&mut command).map(drop)
}

/// `libvision.so` and the name that programs ask for when they start, as an installed prefix has them.
fn link_as_installed(folder: &Path) {
    if folder.exists() {
        return;
    }
    std::fs::create_dir(folder).expect("a folder of this test's own");
    for name in ["libvision.so".to_owned(), format!("libvision.so.{}", vision::abi::VISION_ABI_MAJOR)] {
        std::os::unix::fs::symlink(built("libvision.so"), folder.join(name)).expect("a link in that folder");
    }
}

/// What `command` printed, or how it failed with all that it said.
pub fn success(command: &mut Command) -> Result<String, String> {
    let output = run(command)?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok(out) } else { Err(format!("{command:?}: {}\n{out}{err}", output.status)) }
}

/// How `command` ended.
pub fn run(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| format!("{command:?}: {error}"))
}

/// Bytes as text for people.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The files in `folder` that end in `.extension`, by name.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|file| file.extension() == Some(OsStr::new(extension)));
    files.sort();
    files
}

/// Panics with all failures at once.
pub fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n\n"));
}
