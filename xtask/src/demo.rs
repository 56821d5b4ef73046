//! `cargo xtask demo`: from a fresh clone to labelled pictures.

use crate::command::{self, cargo, output, program};
use crate::workspace;
use anyhow::Context;
use serde_json::Value;
use std::time::Instant;

/// Classifies the given pictures, or those that ship with the model.
pub fn run(pictures: &[String]) -> anyhow::Result<()> {
    let root = workspace::root();
    command::run(cargo().args(["build", "--quiet", "--release", "--package", "libvision-apps"]))?;
    let vision = workspace::target().join("release/vision");
    let model = root.join("examples/model");
    if !pictures.is_empty() {
        println!(
            "\nThe shipped model knows {} kinds of emoji on photographs, not people's own pictures.\n\
             For your own, name a ResNet of yours: target/release/vision classify -m resnet50.onnx PICTURE...\n",
            labels(&model)?
        );
        let mut classify = program(vision, ["classify", "-m"]);
        classify.arg(&model).args(pictures);
        if let Ok(folder) = std::env::current_dir() {
            classify.current_dir(folder);
        }
        return command::run(&mut classify);
    }
    let started = Instant::now();
    let folder = model.join("pictures");
    let answers = output(program(vision, ["classify", "--json", "-m"]).arg(&model).arg(&folder))?;
    let elapsed = started.elapsed();
    print_table(&answers)?;
    println!(
        "Model loaded and pictures classified in {:.2} s. The model knows {} kinds of emoji on photographs,\n\
         not people's own pictures. For those, load a ResNet of yours:\n\n    \
         target/release/vision classify -m resnet50.onnx PICTURE...\n",
        elapsed.as_secs_f64(),
        labels(&model)?
    );
    Ok(())
}

fn labels(model: &std::path::Path) -> anyhow::Result<usize> {
    let path = model.join("labels.txt");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.lines().count())
}

/// One row a picture: what is on it (the file's name tells), what the model says, how sure it is.
fn print_table(answers: &str) -> anyhow::Result<()> {
    println!("\n{:<34} {:<18} {:>7}   second guess", "picture", "answer", "score");
    let (mut right, mut total) = (0, 0);
    for line in answers.lines() {
        let answer: Value = serde_json::from_str(line)?;
        let file = answer["path"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let truth = stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').replace('_', " ");
        let guess = |rank: usize| {
            let guess = &answer["predictions"][rank];
            (guess["label"].as_str().unwrap_or("-"), guess["score"].as_f64().unwrap_or(0.0) * 100.0)
        };
        let ((first, score), (second, second_score)) = (guess(0), guess(1));
        let is_right = first == truth;
        right += usize::from(is_right);
        total += 1;
        let mark = if is_right { ' ' } else { '!' };
        println!("{file:<34} {first:<18} {score:6.1}% {mark} {second} {second_score:.1}%");
    }
    println!("\n{right} of {total} right (! marks the others).");
    Ok(())
}
