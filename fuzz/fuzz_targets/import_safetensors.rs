//! Any bytes as a safetensors file: a model, or an error of the 3xx group.
#![no_main]

use libvision::Model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, bytes).expect("a temporary file");
    if let Err(error) = Model::load(&path) {
        assert_ne!(error.kind().number() / 100, 9, "{error:?}");
        assert!(!error.message().is_empty());
    }
});
