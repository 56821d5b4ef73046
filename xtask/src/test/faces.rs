//! What users call, on the software CUDA driver: the command line on every shipped picture, the example programs of
//! the five languages on a few, with the answers of the CPU.

use super::examples::{self, Line};
use crate::command::{cargo, output, program, run};
use crate::{software_gpu, workspace};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

/// Largest difference of a score in half precision.
const HALF: f64 = 0.01;
/// Pictures of the 60 whose best label may be another.
const OTHERS: usize = 2;
/// Pictures that the programs see: an emulated one takes half a second.
const PICTURES: usize = 3;

/// See the module.
pub fn faces() -> anyhow::Result<()> {
    let model = workspace::root().join("examples/model");
    let pictures = examples::pictures(&model)?;
    run(cargo().args(["build", "--quiet", "--locked", "--package", "libvision-apps"]))?;
    let classify = |device: &str| {
        let mut command =
            program(workspace::target().join("debug/vision"), ["classify", "--json", "--top", "5"]);
        // Small batches: each must be done before the engine takes its worker for stuck.
        command.args(["--max-batch-size", "2", "--device", device, "--model"]).arg(&model).args(&pictures);
        command
    };
    let expected = answers(&output(&mut classify("cpu"))?)?;
    let found = answers(&software_gpu::output_on_it(&mut classify("cuda:0"))?)?;
    ensure!(expected.len() == pictures.len() && found.len() == pictures.len(), "an answer is missing");
    let others = expected.iter().zip(&found).filter(|(e, f)| e.values[0].0 != f.values[0].0).count();
    let mut largest = 0.0_f64;
    for (expected, found) in expected.iter().zip(&found) {
        largest = largest.max(difference(expected, found)?);
    }
    println!(
        "    vision classify: {others} of {} with another label, scores within {largest:.5}",
        found.len()
    );
    ensure!(others <= OTHERS && largest <= HALF, "more than half precision explains");

    let scores: HashMap<&str, &Line> = expected.iter().map(|line| (line.picture.as_str(), line)).collect();
    for (language, lines) in examples::lines_of_all(&pictures[..PICTURES], software_gpu::output_on_it)? {
        ensure!(lines.len() == PICTURES, "{language}: {} lines", lines.len());
        for line in &lines {
            let expected = scores.get(line.picture.as_str()).context("a picture that nobody asked for")?;
            let difference = difference(expected, line).with_context(|| language.to_owned())?;
            ensure!(difference <= HALF, "{language}: {line:?}, expected {expected:?}");
        }
        println!("    {language}: as the CPU on {PICTURES} pictures");
    }
    Ok(())
}

/// The largest difference of the scores of labels that both have.
fn difference(expected: &Line, found: &Line) -> anyhow::Result<f64> {
    ensure!(expected.picture == found.picture, "{} in the place of {}", found.picture, expected.picture);
    let scores: HashMap<&str, f64> =
        expected.values.iter().map(|(label, score)| (label.as_str(), *score)).collect();
    let both =
        found.values.iter().filter_map(|(label, score)| Some((scores.get(label.as_str())? - score).abs()));
    let differences: Vec<f64> = both.collect();
    ensure!(!differences.is_empty(), "{}: no label in common", found.picture);
    Ok(differences.into_iter().fold(0.0, f64::max))
}

/// The lines of `vision classify --json`.
fn answers(text: &str) -> anyhow::Result<Vec<Line>> {
    let line = |text: &str| -> anyhow::Result<Line> {
        let answer: Value = serde_json::from_str(text)?;
        let predictions = answer["predictions"].as_array().with_context(|| text.to_owned())?;
        let values = predictions.iter().map(|prediction| {
            Some((prediction["label"].as_str()?.to_owned(), prediction["score"].as_f64()?))
        });
        let picture = PathBuf::from(answer["path"].as_str().unwrap_or_default());
        let picture = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Line { picture, values: values.collect::<Option<_>>().context("a prediction without a score")? })
    };
    text.lines().map(line).collect()
}
