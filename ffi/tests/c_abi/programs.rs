//! Programs in C and C++: compiled with the machine's compilers against
//! the committed headers, linked with the built libraries, and run on the shipped model.

use super::toolchain::{Link, compile, files, report, root, run, success, text};
use std::path::{Path, PathBuf};
use std::process::Command;

const C11: &[&str] = &["cc", "-std=c11", "-pedantic", "-D_POSIX_C_SOURCE=200809L"];
const CPP17: &[&str] = &["c++", "-std=c++17", "-pedantic"];
const CPP20: &[&str] = &["c++", "-std=c++20", "-pedantic"];
/// Breaks the rules on purpose; only its failure under AddressSanitizer is of interest.
const VIOLATION: &str = "use_after_free.c";

fn tests(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder)
}

fn model() -> PathBuf {
    root().join("examples/model")
}

/// One of the shipped pictures.
fn picture() -> PathBuf {
    let pictures = files(&model().join("pictures"), "png");
    pictures.first().expect("the shipped model comes with pictures").clone()
}

/// Compiles each source in each of the ways and runs it on the model and a picture.
fn compile_and_run(sources: &[PathBuf], ways: &[&[&str]], link: Link) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let mut failures = Vec::new();
    for source in sources {
        for flags in ways {
            let outcome = compile(flags, source, link, &program)
                .and_then(|()| success(Command::new(&program).arg(model()).arg(picture())));
            failures.extend(outcome.err().map(|error| format!("{}: {error}", source.display())));
        }
    }
    assert!(!sources.is_empty());
    report(failures);
}

fn c_programs() -> Vec<PathBuf> {
    let mut programs = files(&tests("c"), "c");
    programs.retain(|program| !program.ends_with(VIOLATION));
    programs
}

#[test]
fn headers_stand_alone_in_every_standard() {
    let folder = tempfile::tempdir().unwrap();
    let source = tests("include_alone.c");
    let strict = ["-pedantic", "-Wconversion", "-Wshadow"];
    let standards: [&[&str]; 4] = [
        &["cc", "-std=c99"],
        &["cc", "-std=c11"],
        &["c++", "-x", "c++", "-std=c++17"],
        &["c++", "-x", "c++", "-std=c++20"],
    ];
    report(
        standards
            .into_iter()
            .filter_map(|standard| {
                let flags = [standard, &strict].concat();
                compile(&flags, &source, Link::Nothing, &folder.path().join("program")).err()
            })
            .collect(),
    );
}

#[test]
fn c_programs_pass_with_the_shared_library() {
    compile_and_run(&c_programs(), &[C11], Link::Shared);
}

#[test]
fn c_programs_pass_with_the_static_library_under_address_sanitizer() {
    let flags = [C11, &["-fsanitize=address", "-fno-omit-frame-pointer"]].concat();
    compile_and_run(&c_programs(), &[&flags], Link::Static);

    // The sanitizer is linked, and it sees what C does to the library's memory.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    compile(&flags, &tests("c").join(VIOLATION), Link::Static, &program).unwrap();
    let symbols = success(Command::new("nm").arg(&program)).unwrap();
    assert!(symbols.contains("__asan_init"), "AddressSanitizer is not linked");
    let outcome = run(Command::new(&program).arg(model()).arg(picture())).unwrap();
    let message = text(&outcome.stderr);
    assert!(!outcome.status.success() && message.contains("heap-use-after-free"), "{message}");
}

#[test]
fn cpp_programs_pass_with_the_shared_library() {
    compile_and_run(&files(&tests("cpp"), "cpp"), &[CPP17, CPP20], Link::Shared);
}

#[test]
fn the_examples_in_c_and_cpp_print_the_same_lines_and_say_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    let examples = root().join("examples");
    let program = |name: &str| folder.path().join(name);
    compile(C11, &examples.join("classify.c"), Link::Shared, &program("c")).unwrap();
    compile(CPP17, &examples.join("classify.cpp"), Link::Shared, &program("cpp")).unwrap();

    let pictures = files(&model().join("pictures"), "png");
    for task in [None, Some("--embed"), Some("--run")] {
        let [c, cpp] = ["c", "cpp"].map(|name| {
            let mut command = Command::new(program(name));
            success(command.args(task).arg(model()).args(&pictures).args(&pictures)).unwrap()
        });
        assert_eq!(c.lines().count(), 2 * pictures.len());
        assert_eq!(c, cpp);
    }
    for name in ["c", "cpp"] {
        let mut command = Command::new(program(name));
        let outcome = run(command.arg(model()).args(["none.png".as_ref(), picture().as_os_str()])).unwrap();
        let lines = text(&outcome.stdout);
        assert_eq!(outcome.status.code(), Some(1), "{name}: {lines}");
        assert!(lines.starts_with("none.png | error FILE_NOT_FOUND: "), "{name}: {lines}");
        assert_eq!(lines.lines().count(), 2, "{name}: {lines}");

        for (arguments, message) in
            [(&["--embed", "model"][..], "usage: "), (&["no/model", "a.png"], "FILE_NOT_FOUND: ")]
        {
            let outcome = run(Command::new(program(name)).args(arguments)).unwrap();
            assert_eq!(outcome.status.code(), Some(2), "{name} {arguments:?}");
            assert!(text(&outcome.stderr).starts_with(message), "{name} {arguments:?}");
            assert_eq!(text(&outcome.stdout), "", "{name} {arguments:?}");
        }
    }
}
