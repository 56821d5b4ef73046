//! What an engine says about itself, for people.

use super::config::EngineOptions;
use super::machine::Shape;
use super::memory_plan::MemoryPlan;
use crate::backend::Executable;
use crate::backend::registry::Device;
use crate::image::DecodeLimits;
use crate::model::Model;
use std::fmt::Write;
use std::sync::Arc;

/// What there is to say.
pub(super) struct Description<'a> {
    pub(super) model: &'a Model,
    pub(super) options: &'a EngineOptions,
    pub(super) devices: &'a [Device],
    /// One for each device.
    pub(super) executables: &'a [Arc<dyn Executable>],
    pub(super) shape: &'a Shape,
    pub(super) memory: &'a MemoryPlan,
    /// Why pictures cannot be taken, if they cannot.
    pub(super) no_pictures: Option<&'a str>,
}

impl Description<'_> {
    /// The model, the device and why, options in force, memory, and the plan.
    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        let Shape { max_batch_size, decoders, workers, .. } = self.shape;
        let EngineOptions { max_queue_delay, queue_capacity, .. } = self.options;
        let DecodeLimits { max_pixels, max_side, max_encoded_bytes, max_progressive_scans } =
            self.options.limits;

        writeln!(text, "{}", self.model.describe().trim_end())?;
        writeln!(text, "\nengine")?;
        for Device { name, reason, .. } in self.devices {
            writeln!(text, "  device           {name} ({reason})")?;
        }
        writeln!(text, "  max_batch_size   {max_batch_size} ({})", self.batch_limit())?;
        writeln!(text, "  max_queue_delay  {max_queue_delay:?}")?;
        writeln!(text, "  queue_capacity   {queue_capacity}")?;
        writeln!(text, "  decode_threads   {decoders}")?;
        writeln!(text, "  workers          {workers}")?;
        writeln!(
            text,
            "  pictures         {}",
            match self.no_pictures {
                Some(reason) => format!("none: {reason}"),
                None => format!(
                    "up to {max_pixels} pixels, {max_side} a side, {max_encoded_bytes} bytes, \
                     {max_progressive_scans} scans"
                ),
            }
        )?;
        writeln!(
            text,
            "  memory           {} bytes, and at most {} with all budgets",
            self.memory.taken_at_start(),
            self.memory.items.iter().fold(0_u64, |sum, item| sum.saturating_add(item.bytes()))
        )?;
        for item in &self.memory.items {
            writeln!(text, "    {:<33} {} bytes, {}", item.what, item.bytes(), item.place_name())?;
        }
        for (executable, device) in self.executables.iter().zip(self.devices) {
            if self.devices.len() > 1 {
                write!(text, "\n{}", device.name)?;
            }
            text.push('\n');
            text.push_str(executable.describe().trim_end());
            text.push('\n');
        }
        Ok(())
    }

    /// Which limit decided.
    fn batch_limit(&self) -> String {
        let (asked, in_force) = (self.options.max_batch_size, self.shape.max_batch_size);
        match self.model.graph().batch_limit {
            _ if in_force == asked => "as asked for".into(),
            Some(limit) if limit == in_force => format!("the model's own limit; {asked} was asked for"),
            _ => format!("the device's limit; {asked} was asked for"),
        }
    }
}
