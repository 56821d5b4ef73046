//! The example programs of all languages, on the shipped pictures: their lines agree with each other and
//! with the committed answers.

use super::empty_folder::EmptyFolder;
use super::packages::{build_examples, install_npm};
use crate::command::{cargo, output, program, run};
use crate::{dist, python, workspace};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Largest difference between two languages, and from the committed answers for exact formats.
const EXACT: f64 = 1e-4;
/// Largest difference from the committed answers for JPEG and WebP, whose decoders may differ.
const LOSSY: f64 = 0.02;
/// Pictures that may be outside it.
const LOSSY_EXCEPTIONS: usize = 2;

/// One line: the picture, then names (labels, or nothing) with numbers.
#[derive(Debug)]
pub struct Line {
    pub picture: String,
    pub values: Vec<(String, f64)>,
}

/// Builds the five programs and compares what they print for each of the three tasks.
pub fn run_examples() -> anyhow::Result<()> {
    let folder = EmptyFolder::new("examples")?;
    let programs = build(folder.path())?;
    let model = workspace::root().join("examples/model");
    let pictures = pictures(&model)?;
    for task in ["", "--embed", "--run"] {
        let mut first: Option<(&str, Vec<Line>)> = None;
        for (language, make) in &programs {
            let mut command = make();
            command.args((!task.is_empty()).then_some(task)).arg(&model).args(&pictures);
            let lines = parse(&output(&mut command)?).with_context(|| format!("{language} {task}"))?;
            ensure!(lines.len() == pictures.len(), "{language} {task}: {} lines", lines.len());
            match &first {
                None => first = Some((language, lines)),
                Some((other, expected)) => compare(expected, &lines)
                    .with_context(|| format!("{other} and {language} differ in `{task}`"))?,
            }
        }
        let (_, lines) = first.context("no example program")?;
        println!("    {} programs agree on {} pictures {task}", programs.len(), lines.len());
        if task.is_empty() {
            compare_with_committed(&model, &lines)?;
        }
    }
    Ok(())
}

/// What each program prints for the pictures when `output` runs it.
pub fn lines_of_all(
    pictures: &[PathBuf],
    output: impl Fn(&mut Command) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<(&'static str, Vec<Line>)>> {
    let folder = EmptyFolder::new("examples")?;
    let model = workspace::root().join("examples/model");
    let lines = build(folder.path())?.into_iter().map(|(language, make)| {
        let text = output(make().arg(&model).args(pictures))?;
        Ok((language, parse(&text).with_context(|| language.to_owned())?))
    });
    lines.collect()
}

type Program = (&'static str, Box<dyn Fn() -> Command>);

fn build(folder: &Path) -> anyhow::Result<Vec<Program>> {
    let root = workspace::root();
    run(cargo().args(["build", "--quiet", "--package", "libvision", "--example", "classify"]))?;
    let rust = workspace::target().join("debug/examples/classify");

    let bin = python::environment()?;
    let build = folder.join("build");
    build_examples(&dist::folder().join("prefix"), &build)?;
    let (c, cpp) = (build.join("classify_c"), build.join("classify_cpp"));

    let interpreter = bin.join("python");
    let script = root.join("examples/classify.py");

    let packed = workspace::files(&dist::folder().join("npm"), "tgz")?;
    install_npm(folder, packed.first().context("no npm package; run the suite `packages` first")?)?;
    let module = folder.join("classify.mjs");
    std::fs::copy(root.join("examples/classify.mjs"), &module)?;

    Ok(vec![
        ("Rust", Box::new(move || Command::new(&rust))),
        ("C", Box::new(move || Command::new(&c))),
        ("C++", Box::new(move || Command::new(&cpp))),
        ("Python", Box::new(move || program(&interpreter, [&script]))),
        ("Node", Box::new(move || program("node", [&module]))),
    ])
}

/// The shipped ones, in order.
pub fn pictures(model: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        model.join("pictures").read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    found.sort();
    Ok(found)
}

/// `PATH | LABEL 0.123456 | ...`, or `PATH | 256: 0.123456 ...`.
fn parse(text: &str) -> anyhow::Result<Vec<Line>> {
    let parse_line = |line: &str| -> Option<Line> {
        let mut parts = line.split(" | ");
        let picture = parts.next()?.rsplit('/').next()?.to_owned();
        let mut values = Vec::new();
        for part in parts {
            if let Some((length, numbers)) = part.split_once(": ") {
                for number in numbers.split(' ') {
                    values.push((length.to_owned(), number.parse().ok()?));
                }
            } else {
                let (label, score) = part.rsplit_once(' ')?;
                values.push((label.to_owned(), score.parse().ok()?));
            }
        }
        (!values.is_empty()).then_some(Line { picture, values })
    };
    text.lines().map(|line| parse_line(line).with_context(|| format!("cannot read `{line}`"))).collect()
}

fn compare(expected: &[Line], found: &[Line]) -> anyhow::Result<()> {
    for (a, b) in expected.iter().zip(found) {
        let same_names = a.values.iter().map(|(name, _)| name).eq(b.values.iter().map(|(name, _)| name));
        let close = a.values.iter().zip(&b.values).all(|((_, x), (_, y))| (x - y).abs() <= EXACT);
        ensure!(a.picture == b.picture && same_names && close, "\n{a:?}\n{b:?}");
    }
    Ok(())
}

/// `expected.json` holds what Pillow and ONNX Runtime say.
fn compare_with_committed(model: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(model.join("expected.json"))?)?;
    let entries = expected["pictures"].as_array().context("expected.json: no `pictures`")?;
    let (mut exact, mut lossy, mut outside) = (0, 0, Vec::new());
    for line in lines {
        let entry = entries.iter().find(|entry| entry["file"] == line.picture.as_str());
        let entry = entry.with_context(|| format!("expected.json: no {}", line.picture))?;
        let top = entry["top5"].as_array().context("expected.json: no `top5`")?;
        // Each entry is [class index, label, score].
        let names_agree = |n: usize| (0..n).all(|i| top[i][1] == line.values[i].0.as_str());
        let difference = |n: usize| {
            let of = |i: usize| (top[i][2].as_f64().unwrap_or(f64::NAN) - line.values[i].1).abs();
            (0..n).map(of).fold(0.0, f64::max)
        };
        if line.picture.ends_with(".png") {
            exact += 1;
            // Labels whose scores are equal to six digits may change places.
            if difference(top.len()) > EXACT || !names_agree(1) {
                bail!("{}: {:?}, expected {top:?}", line.picture, line.values);
            }
        } else {
            lossy += 1;
            if difference(1) > LOSSY || !names_agree(1) {
                outside.push(line.picture.as_str());
            }
        }
    }
    println!(
        "    against Pillow and ONNX Runtime: {exact} PNG within {EXACT}; {lossy} JPEG and WebP, {} outside {LOSSY} {outside:?}",
        outside.len()
    );
    ensure!(outside.len() <= LOSSY_EXCEPTIONS, "too many pictures differ from the committed answers");
    Ok(())
}
