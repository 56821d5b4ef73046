//! From the shared arguments to a running engine.

use crate::arguments::{SessionArguments, Window};
use libvision::{BatchWindow, Engine, EngineOptions, Model, Tuning};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Loads the model and starts an engine for it. It serves one command, so that its answers are there sooner if it
/// does not prove itself first.
pub fn open(arguments: &SessionArguments) -> libvision::Result<Engine> {
    let model = Model::load(&arguments.model)?;
    let options = EngineOptions { prove: false, self_test_every: Duration::ZERO, ..options(arguments)? };
    Engine::new(Arc::new(model), &options)
}

/// What the arguments ask for.
pub fn options(arguments: &SessionArguments) -> libvision::Result<EngineOptions> {
    Ok(EngineOptions {
        device: arguments.device.clone(),
        threads: arguments.threads,
        max_batch_size: arguments.max_batch_size,
        precise: arguments.precise,
        precision: arguments.precision.into(),
        device_memory_limit: arguments.device_memory_limit,
        tuning: read_tuning(arguments.tuning.as_deref())?,
        max_queue_delay: Duration::from_secs_f64(arguments.max_queue_delay),
        window: match arguments.window {
            Window::Latency => BatchWindow::Latency,
            Window::Throughput => BatchWindow::Throughput,
            Window::Adaptive => BatchWindow::Adaptive,
        },
        trace: arguments.trace.clone(),
        ..EngineOptions::default()
    })
}

/// The tuning file that was named, if one was.
pub fn read_tuning(path: Option<&Path>) -> libvision::Result<Option<Arc<Tuning>>> {
    path.map(Tuning::read).transpose().map(|tuning| tuning.map(Arc::new))
}
