//! From the shared arguments to a running engine.

use crate::arguments::SessionArguments;
use libvision::{Engine, EngineOptions, Model};
use std::sync::Arc;

/// Loads the model and starts an engine for it.
pub fn open(arguments: &SessionArguments) -> libvision::Result<Engine> {
    let model = Model::load(&arguments.model)?;
    let options = EngineOptions {
        device: arguments.device.clone(),
        threads: arguments.threads,
        max_batch_size: arguments.max_batch_size,
        ..EngineOptions::default()
    };
    Engine::new(Arc::new(model), &options)
}
