//! Which devices a model runs on, and what it is compiled to on each.

use super::config::EngineOptions;
use super::pictures::device_preprocessing;
use crate::backend::registry::{self, Device};
use crate::backend::{Availability, CompileOptions, Executable, Forecast, PictureLoader, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, ValueId};
use crate::model::Model;
use crate::tensor::DType;
use std::sync::Arc;

/// Where an engine takes its devices from.
#[derive(Clone)]
pub enum Devices {
    /// From this build, by the names in [`EngineOptions::device`].
    ByName,
    /// These, whatever the options name.
    Given(Vec<Device>),
}

impl Devices {
    /// The devices for a model, at least one. Fails as the first that cannot run here does, and with
    /// `INVALID_ARGUMENT` for one that is named twice.
    pub(super) fn open(&self, names: &str) -> Result<Vec<Device>> {
        let devices = match self {
            Devices::Given(devices) => devices.clone(),
            Devices::ByName => {
                names.split(',').map(|name| registry::open(name.trim())).collect::<Result<Vec<_>>>()?
            }
        };
        for (at, device) in devices.iter().enumerate() {
            if let Availability::Unavailable(error) = device.backend.probe() {
                return Err(error);
            }
            if devices[..at].iter().any(|earlier| earlier.name == device.name) {
                let message = format!(
                    "device {names:?}: {} is named twice; the option instances says how many batches run on one",
                    device.name
                );
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        }
        if devices.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "device: expected at least one, found none"));
        }
        Ok(devices)
    }

    /// Whether `auto` took something else than the CPU.
    pub(super) fn may_fall_back(&self, names: &str) -> bool {
        matches!(self, Devices::ByName)
            && names.trim() == "auto"
            && registry::open("auto").is_ok_and(|device| device.name != "cpu")
    }
}

/// Names of several devices, for people.
pub(super) fn names(devices: &[Device]) -> String {
    let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    names.join(",")
}

/// What a model is asked to become on each device.
pub(super) fn compile_options(model: &Model, options: &EngineOptions) -> CompileOptions {
    CompileOptions {
        max_batch_size: model.graph().batch_limit.unwrap_or(usize::MAX).min(options.max_batch_size).max(1),
        threads: options.threads,
        batch_buckets: options.batch_buckets.clone(),
        precise: options.precise,
        tuning: options.tuning.clone(),
        precision: options.precision,
        device_memory_limit: options.device_memory_limit,
        preprocessing: device_preprocessing(model, options),
    }
}

/// What it will become on each.
pub(super) fn forecasts(model: &Model, options: &EngineOptions, devices: &[Device]) -> Result<Vec<Forecast>> {
    let compile = compile_options(model, options);
    devices.iter().map(|device| device.backend.forecast(model.graph(), &compile)).collect()
}

/// Compiles for each. They are one model to callers: fails with `INTERNAL` if their inputs or outputs differ.
pub(super) fn compile(
    model: &Model,
    options: &EngineOptions,
    devices: &[Device],
) -> Result<Vec<Arc<dyn Executable>>> {
    let compile = compile_options(model, options);
    model.check_file()?;
    let executables = devices
        .iter()
        .map(|device| device.backend.compile(model.graph(), &compile))
        .collect::<Result<Vec<_>>>()?;
    let first = &executables[0];
    for (executable, device) in executables.iter().zip(devices) {
        if executable.inputs() != first.inputs() || executable.outputs() != first.outputs() {
            let message = format!(
                "{} and {} disagree about the inputs or outputs of model {:?}",
                devices[0].name,
                device.name,
                model.name()
            );
            return Err(Error::new(ErrorKind::Internal, message));
        }
    }
    Ok(executables)
}

/// Loads pictures for all devices, as they go to whichever is free; `None` if one of them preprocesses none.
pub(super) fn picture_loader(executables: &[Arc<dyn Executable>]) -> Option<Arc<dyn PictureLoader>> {
    let loaders = executables.iter().map(|executable| executable.picture_loader());
    loaders.collect::<Option<Vec<_>>>()?.into_iter().next()
}

/// Workers of each device, at least one each.
pub(super) fn workers_of(useful_contexts: usize, options: &EngineOptions) -> usize {
    match options.instances {
        0 => useful_contexts.max(1),
        instances => instances,
    }
}

/// Sizes that batches are run at, ascending: those that every device prepares for that is choosy, else those that
/// were asked for. The largest batch is one of them; none if any size is as good.
pub(super) fn common_buckets(
    asked: &[usize],
    executables: &[Arc<dyn Executable>],
    max_batch_size: usize,
) -> Vec<usize> {
    let own = executables.iter().map(|executable| executable.batch_buckets());
    let choosy: Vec<&[usize]> = own.filter(|buckets| !buckets.is_empty()).collect();
    let all_prepare = |size: &&usize| choosy.iter().all(|buckets| buckets.contains(size));
    let sizes = choosy.first().copied().unwrap_or(asked);
    let mut buckets: Vec<usize> =
        sizes.iter().filter(all_prepare).map(|size| max_batch_size.min(*size)).collect();
    buckets.extend((!sizes.is_empty()).then_some(max_batch_size));
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

/// What the graph takes and gives, as executables say it.
pub(super) fn specs(graph: &Graph) -> (Vec<TensorSpec>, Vec<TensorSpec>) {
    let spec = |name: &str, id: ValueId| TensorSpec {
        name: name.to_owned(),
        dtype: DType::F32,
        shape: graph.value(id).shape.clone().unwrap_or_default(),
    };
    let inputs = graph.inputs.iter().map(|&id| spec(&graph.value(id).name, id)).collect();
    let outputs = graph.outputs.iter().map(|output| spec(&output.name, output.value)).collect();
    (inputs, outputs)
}
