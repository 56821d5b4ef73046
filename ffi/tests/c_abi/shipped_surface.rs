//! What programs that are already compiled rely on: the exported names and the layout of the structs, as
//! `abi/exports.txt` and `abi/layouts.txt` have them. `LIBVISION_BLESS=1` rewrites the two files: look at
//! the difference, and raise VISION_ABI_MINOR for what was added; anything else breaks programs.

use super::toolchain::{Link, built, compile, root, success};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

fn compare(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("abi").join(file);
    if std::env::var_os("LIBVISION_BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == found, "ffi/abi/{file} has\n{committed}\nand the library\n{found}");
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/libvision.h")).unwrap()
}

#[test]
fn exports_are_those_that_were_shipped() {
    let mut nm = Command::new("nm");
    let symbols = success(nm.args(["-D", "--defined-only"]).arg(built("libvision.so"))).unwrap();
    let mut names: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    names.sort_unstable();
    let text = names.iter().fold(String::new(), |text, name| text + name + "\n");
    compare("exports.txt", &text);
    for name in names {
        assert!(name.starts_with("vision_"), "{name} is exported and is none of ours");
        assert!(header().contains(&format!("{name}(")), "{name} is exported and not in the header");
    }
}

#[test]
fn the_library_s_own_name_follows_the_abi_s_major_number() {
    let mut readelf = Command::new("readelf");
    let dynamic = success(readelf.arg("-d").arg(built("libvision.so"))).unwrap();
    let name = format!("[libvision.so.{}]", vision::abi::VISION_ABI_MAJOR);
    assert!(dynamic.lines().any(|line| line.contains("(SONAME)") && line.contains(&name)), "{dynamic}");
}

/// The fields of each struct in the header, by name.
fn structs(header: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, after)) = rest.split_once("typedef struct {\n") {
        let (body, after) = after.split_once("\n} ").unwrap();
        let (name, after) = after.split_once(';').unwrap();
        let fields = body.lines().filter(|line| !line.trim().starts_with("//"));
        let names = fields.map(|line| {
            let declared = line.trim().trim_end_matches(';').split('[').next().unwrap();
            declared.rsplit([' ', '*']).next().unwrap()
        });
        found.push((name, names.collect()));
        rest = after;
    }
    found
}

#[test]
fn layouts_are_those_that_were_shipped_and_have_no_padding() {
    let header = header();
    let mut source = String::from("#include \"libvision.h\"\n#include <stdio.h>\nint main(void) {\n");
    for (name, fields) in structs(&header) {
        writeln!(source, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        for field in fields {
            writeln!(
                source,
                "printf(\"    {field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
            )
            .unwrap();
        }
    }
    source += "return 0; }\n";
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("layouts.c"), folder.path().join("layouts"));
    std::fs::write(&file, source).unwrap();
    compile(&["cc", "-std=c11"], &file, Link::Nothing, &program).unwrap();
    let layouts = success(&mut Command::new(&program)).unwrap();
    compare("layouts.txt", &layouts);

    // `abi.rs` copies these structs byte by byte, and a later field must not land where older callers
    // left padding.
    let (mut name, mut size, mut end) = ("", 0, 0);
    for line in layouts.lines().chain(["end 0"]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| words[i].parse::<usize>().unwrap();
        if line.starts_with(' ') {
            assert_eq!(number(1), end, "padding in {name} before {}", words[0]);
            end += number(2);
        } else {
            assert_eq!(size, end, "padding at the end of {name}");
            (name, size, end) = (words[0], number(1), 0);
        }
    }
}
