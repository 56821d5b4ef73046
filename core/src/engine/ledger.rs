//! The ledger: what every model of an engine comes to in the worst case, said before any of it is taken, and kept
//! below the limits.

use super::config::EngineOptions;
use super::devices::{Devices, compile_options, forecasts, specs, workers_of};
use super::memory_plan::{MemoryItem, MemoryPlan, Place};
use crate::backend::registry::Device;
use crate::backend::{Forecast, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::Arc;

impl MemoryPlan {
    /// What an engine of `model` alone would come to. Compiles nothing and takes nothing but what a backend's
    /// [`forecast`](crate::backend::Backend::forecast) takes. Fails as making the engine would.
    pub fn of(model: &Model, options: &EngineOptions) -> Result<Self> {
        options.check()?;
        let devices = Devices::ByName.open(&options.device)?;
        model.check_file()?;
        Ok(Self::forecast(model, options, &devices, &forecasts(model, options, &devices)?))
    }

    /// Whether it holds below the limits of these options by itself. Fails with `OUT_OF_MEMORY`, saying what is too
    /// large and what would help.
    pub fn check(&self, options: &EngineOptions) -> Result<()> {
        Ledger::new(options).check("default", self)
    }

    pub(super) fn forecast(
        model: &Model,
        options: &EngineOptions,
        devices: &[Device],
        forecasts: &[Forecast],
    ) -> Self {
        let (inputs, outputs) = specs(model.graph());
        let limit = forecasts.iter().map(|forecast| forecast.max_batch_size).min().unwrap_or(1);
        let compile = compile_options(model, options);
        let batch = compile.max_batch_size.min(limit);
        let workers: Vec<usize> =
            forecasts.iter().map(|forecast| workers_of(forecast.useful_contexts, options)).collect();
        let all_workers: usize = workers.iter().sum();
        let copies = devices.iter().any(|device| device.backend.has_own_memory());
        let buffers = if copies { Place::Pinned } else { Place::Host };
        let [images, results] =
            [&inputs, &outputs].map(|specs| bytes_per_image(specs).saturating_mul(batch as u64));

        let mut plan = Self::default();
        for ((device, forecast), workers) in devices.iter().zip(forecasts).zip(workers) {
            let place = match device.backend.has_own_memory() {
                true => Place::Device(device.name.clone()),
                false => Place::Host,
            };
            plan.add("weights", place.clone(), 1, forecast.memory.weights as u64);
            plan.add("arenas", place, workers as u64, forecast.memory.arena as u64);
        }
        plan.add("batches", buffers.clone(), stagings_for(all_workers) as u64, images);
        if let Some(preprocessing) = compile.preprocessing
            && devices.iter().all(|device| device.backend.has_own_memory())
        {
            let pictures = (preprocessing.slot_bytes as u64).saturating_mul(batch as u64);
            plan.add("pictures", Place::Host, stagings_for(all_workers) as u64, pictures);
            plan.add("pictures", Place::Pinned, all_workers as u64, pictures);
        }
        plan.add("results", buffers, all_workers as u64, results);
        if options.prove || !options.self_test_every.is_zero() {
            // Each worker that proves itself builds a batch, and one is there for tests.
            plan.add("known images", Place::Host, all_workers as u64 + 1, images);
        }
        plan.add("files that wait (encoded_budget)", Place::Host, 1, options.encoded_budget);
        plan.add("decoding (decode_budget)", Place::Host, 1, options.decode_budget);
        if options.cache_entries > 0 {
            plan.add("results kept (cache_bytes)", Place::Host, 1, options.cache_bytes);
        }
        plan
    }

    /// One JSON object: `items` with `what`, `place`, `count`, `each` and `bytes`, and the sums.
    pub fn to_json(&self) -> String {
        let items: Vec<_> = self
            .items
            .iter()
            .map(|item| {
                serde_json::json!({
                    "what": item.what,
                    "place": item.place_name(),
                    "count": item.count,
                    "each": item.each,
                    "bytes": item.bytes(),
                })
            })
            .collect();
        let (host, pinned, device) = (self.host(), self.pinned(), self.device());
        serde_json::json!({ "items": items, "host": host, "pinned": pinned, "device": device }).to_string()
    }
}

/// Buffers that batches are built in: beside those that run, one is complete and waits, and one is being filled.
pub(super) fn stagings_for(workers: usize) -> usize {
    workers + 2
}

fn bytes_per_image(specs: &[TensorSpec]) -> u64 {
    let elements = specs.iter().map(|spec| spec.elements_per_image() as u64);
    elements.fold(0, u64::saturating_add).saturating_mul(size_of::<f32>() as u64)
}

/// What all models of one engine come to, together below its limits.
#[derive(Default)]
pub(super) struct Ledger {
    memory_limit: Option<u64>,
    device_memory_limit: Option<u64>,
    charged: Mutex<Vec<(u64, MemoryPlan)>>,
}

/// A model's part of the ledger, free again when this is dropped.
pub(super) struct Charge {
    ledger: Arc<Ledger>,
    number: u64,
}

impl Ledger {
    pub(super) fn new(options: &EngineOptions) -> Self {
        let EngineOptions { memory_limit, device_memory_limit, .. } = *options;
        Self { memory_limit, device_memory_limit, charged: Mutex::default() }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.memory_limit.is_some() || self.device_memory_limit.is_some()
    }

    /// Fails with `OUT_OF_MEMORY`, saying what is missing and what would help, if a plan does not hold beside the
    /// others.
    pub(super) fn check(&self, name: &str, plan: &MemoryPlan) -> Result<()> {
        self.check_beside(&self.charged.lock(), name, plan)
    }

    /// Takes a plan in. Fails as [`Ledger::check`].
    pub(super) fn charge(self: &Arc<Self>, name: &str, plan: MemoryPlan) -> Result<Charge> {
        let mut charged = self.charged.lock();
        self.check_beside(&charged, name, &plan)?;
        let number = charged.last().map_or(0, |(number, _)| number + 1);
        charged.push((number, plan));
        drop(charged);
        Ok(Charge { ledger: Arc::clone(self), number })
    }

    fn check_beside(&self, charged: &[(u64, MemoryPlan)], name: &str, plan: &MemoryPlan) -> Result<()> {
        let sum = |counts: &dyn Fn(&Place) -> bool| {
            charged.iter().fold(0_u64, |sum, (_, plan)| sum.saturating_add(plan.sum(counts)))
        };
        let check = |where_: &str, option: &str, limit: Option<u64>, counts: &dyn Fn(&Place) -> bool| {
            let (others, wanted) = (sum(counts), plan.sum(counts));
            let limit = limit.unwrap_or(u64::MAX);
            if others.saturating_add(wanted) <= limit {
                return Ok(());
            }
            let mut largest: Vec<&MemoryItem> =
                plan.items.iter().filter(|item| counts(&item.place)).collect();
            largest.sort_by_key(|item| std::cmp::Reverse(item.bytes()));
            let largest: Vec<String> =
                largest.iter().take(3).map(|item| format!("{} {}", item.what, item.bytes())).collect();
            let message = format!(
                "model {name:?} comes to {wanted} bytes of {where_} in the worst case, other models to {others}, \
                 and {option} is {limit}: {} too many; the largest parts are {}. Lower max_batch_size, instances \
                 or the budgets, unload a model, or raise {option}; `vision plan` shows all parts",
                others.saturating_add(wanted) - limit,
                largest.join(", ")
            );
            Err(Error::new(ErrorKind::OutOfMemory, message))
        };
        check("host memory", "memory_limit", self.memory_limit, &|place| !matches!(place, Place::Device(_)))?;
        let mut names: Vec<&Place> = plan.items.iter().map(|item| &item.place).collect();
        names.dedup();
        for place in names {
            if let Place::Device(name) = place {
                check(name, "device_memory_limit", self.device_memory_limit, &|other| other == place)?;
            }
        }
        Ok(())
    }

    /// Bytes of the host, pinned, and of devices, of all models.
    pub(super) fn totals(&self) -> [(&'static str, u64); 3] {
        let charged = self.charged.lock();
        let sum = |of: fn(&MemoryPlan) -> u64| {
            charged.iter().fold(0_u64, |sum, (_, plan)| sum.saturating_add(of(plan)))
        };
        [
            ("host", sum(MemoryPlan::host)),
            ("pinned", sum(MemoryPlan::pinned)),
            ("device", sum(MemoryPlan::device)),
        ]
    }

    /// The limits.
    pub(super) fn limits(&self) -> [(&'static str, Option<u64>); 2] {
        [("host", self.memory_limit), ("device", self.device_memory_limit)]
    }
}

/// The ledger of all models, and its limits where there are any.
pub(super) fn write_ledger(text: &mut String, ledger: &Ledger) -> std::fmt::Result {
    writeln!(text, "# TYPE libvision_ledger_bytes gauge")?;
    for (place, bytes) in ledger.totals() {
        writeln!(text, "libvision_ledger_bytes{{place=\"{place}\"}} {bytes}")?;
    }
    writeln!(text, "# TYPE libvision_ledger_limit_bytes gauge")?;
    for (place, limit) in ledger.limits() {
        if let Some(bytes) = limit {
            writeln!(text, "libvision_ledger_limit_bytes{{place=\"{place}\"}} {bytes}")?;
        }
    }
    Ok(())
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.charged.lock().retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(host: u64, device: u64) -> MemoryPlan {
        let mut plan = MemoryPlan::default();
        plan.add("weights", Place::Device("cuda:0".into()), 1, device);
        plan.add("batches", Place::Pinned, 2, host / 4);
        plan.add("decoding", Place::Host, 1, host / 2);
        plan
    }

    #[test]
    fn models_share_the_limits_and_give_back_what_they_took() {
        let options = EngineOptions {
            memory_limit: Some(1000),
            device_memory_limit: Some(500),
            ..EngineOptions::default()
        };
        let ledger = Arc::new(Ledger::new(&options));
        let first = ledger.charge("a", plan(600, 300)).expect("room");
        for (more, names) in [
            (
                plan(404, 0),
                ["\"b\"", "404 bytes of host", "others", "memory_limit is 1000: 4 too many", "decoding 202"],
            ),
            (
                plan(4, 201),
                ["\"b\"", "201 bytes of cuda:0", "to 300", "device_memory_limit is 500: 1 too", "weights"],
            ),
        ] {
            let error = ledger.charge("b", more).err().expect("no room");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            for name in names.iter().filter(|name| **name != "others") {
                assert!(error.message().contains(name), "{name}: {error}");
            }
        }
        let second = ledger.charge("b", plan(400, 200)).expect("just fits");
        assert_eq!(ledger.totals(), [("host", 500), ("pinned", 500), ("device", 500)]);
        drop(first);
        assert!(ledger.charge("c", plan(600, 300)).is_ok());
        drop(second);
        assert_eq!(ledger.totals(), [("host", 0), ("pinned", 0), ("device", 0)]);
    }

    #[test]
    fn sums_do_not_wrap() {
        let mut plan = MemoryPlan::default();
        plan.add("weights", Place::Host, u64::MAX, 2);
        plan.add("arenas", Place::Host, 1, 2);
        assert_eq!(plan.host(), u64::MAX);
        let options = EngineOptions { memory_limit: Some(u64::MAX - 1), ..EngineOptions::default() };
        assert!(Arc::new(Ledger::new(&options)).charge("a", plan).is_err());
    }
}
