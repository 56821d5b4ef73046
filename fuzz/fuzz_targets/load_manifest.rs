//! Any text as the configuration files of a model directory: a model, or an error that is no defect.
#![no_main]

use libvision::Model;
use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The first byte says which files the rest is divided into.
    let (which, text) = bytes.split_first().unwrap_or((&0, &[]));
    let (config, preprocessor) = text.split_at(text.len() * usize::from(which >> 1) / 128);
    let weights = if which & 1 == 0 { "timm" } else { "hugging_face" };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/directories").join(weights);
    std::fs::copy(golden.join("model.safetensors"), folder.path().join("model.safetensors")).expect("a copy");
    std::fs::write(folder.path().join("config.json"), config).expect("a temporary file");
    std::fs::write(folder.path().join("preprocessor_config.json"), preprocessor).expect("a temporary file");
    if let Err(error) = Model::load(folder.path()) {
        assert_ne!(error.kind().number() / 100, 9, "{error:?}");
        assert!(!error.message().is_empty());
    }
});
