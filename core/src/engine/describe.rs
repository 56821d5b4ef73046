//! What an engine says about itself, for people.

use super::config::EngineOptions;
use super::machine::Shape;
use crate::backend::Executable;
use crate::image::DecodeLimits;
use crate::model::Model;
use std::fmt::Write;

/// What there is to say.
pub(super) struct Description<'a> {
    pub(super) model: &'a Model,
    pub(super) options: &'a EngineOptions,
    pub(super) device: &'a str,
    /// Why this device.
    pub(super) reason: &'a str,
    pub(super) executable: &'a dyn Executable,
    pub(super) shape: &'a Shape,
    pub(super) staging_bytes: usize,
    pub(super) output_bytes: usize,
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
        let need = self.executable.memory_need();
        let total = self.memory_bytes();

        writeln!(text, "{}", self.model.describe().trim_end())?;
        writeln!(text, "\nengine")?;
        writeln!(text, "  device           {} ({})", self.device, self.reason)?;
        writeln!(text, "  max_batch_size   {max_batch_size} ({})", self.batch_limit())?;
        writeln!(text, "  max_queue_delay  {max_queue_delay:?}")?;
        writeln!(text, "  queue_capacity   {queue_capacity}")?;
        writeln!(text, "  decode_threads   {decoders}")?;
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
            "  memory           {total} bytes: weights {}, {workers} arena of {}, batches {}, outputs {}",
            need.weights, need.arena, self.staging_bytes, self.output_bytes
        )?;
        text.push('\n');
        text.push_str(self.executable.describe().trim_end());
        text.push('\n');
        Ok(())
    }

    /// Bytes that the engine takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let need = self.executable.memory_need();
        let arenas = need.arena.saturating_mul(self.shape.workers);
        [arenas, self.staging_bytes, self.output_bytes].into_iter().fold(need.weights, usize::saturating_add)
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
