//! `vision golden`.

use crate::arguments::GoldenArguments;
use anyhow::Context;
use libvision::Model;
use std::process::ExitCode;

/// Loads the model and writes its answers.
pub fn run(arguments: &GoldenArguments) -> anyhow::Result<ExitCode> {
    let golden = Model::load(&arguments.model)?.compute_golden(arguments.tolerance)?;
    std::fs::write(&arguments.output, golden.to_json())
        .with_context(|| format!("{} cannot be written", arguments.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libvision::{Engine, EngineOptions, ErrorKind};
    use std::path::Path;
    use std::sync::Arc;

    /// The shipped model without its answers.
    fn copy_of_the_model(folder: &Path) {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/model");
        for name in ["config.json", "labels.txt", "model.safetensors"] {
            std::fs::copy(model.join(name), folder.join(name)).expect("a copy");
        }
    }

    fn engine(folder: &Path) -> libvision::Result<Engine> {
        let options = EngineOptions { device: "cpu".into(), ..EngineOptions::default() };
        Engine::new(Arc::new(Model::load(folder)?), &options)
    }

    #[test]
    fn what_is_written_beside_a_model_is_binding() {
        let folder = tempfile::tempdir().expect("a folder");
        copy_of_the_model(folder.path());
        let output = folder.path().join("golden.json");
        let arguments =
            GoldenArguments { model: folder.path().into(), output: output.clone(), tolerance: 0.001 };
        run(&arguments).expect("written");
        assert!(engine(folder.path()).is_ok_and(|engine| engine.is_ready()));
        // Another number than the model computes.
        let text = std::fs::read_to_string(&output).expect("text");
        let mut golden: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let logits = golden["images"][0]["logits"].as_array_mut().expect("logits");
        logits[0] = (logits[0].as_f64().expect("a number") + 100.0).into();
        std::fs::write(&output, golden.to_string()).expect("written");
        let error = engine(folder.path()).err().expect("the model computes something else");
        assert_eq!(error.kind(), ErrorKind::SelfTestFailed);
    }

    #[test]
    fn the_shipped_model_brings_its_answers() {
        let folder = tempfile::tempdir().expect("a folder");
        copy_of_the_model(folder.path());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/model");
        let golden = Model::load(&shipped).expect("a model").golden().cloned().expect("golden.json");
        let computed = Model::load(folder.path()).expect("a model").compute_golden(0.001).expect("computed");
        let text: serde_json::Value = serde_json::from_str(&computed.to_json()).expect("JSON");
        for image in 0..2 {
            let outputs = text["images"][image].as_object().expect("outputs");
            for (name, values) in outputs {
                let values: Vec<f32> = serde_json::from_value(values.clone()).expect("numbers");
                golden.check(image, [(name.as_str(), &values[..])].into_iter()).expect("the same answer");
            }
        }
    }
}
