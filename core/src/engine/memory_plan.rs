//! The most memory that a model in an engine comes to, by what it is for and where it lies.

use std::fmt::Write;

/// Where memory lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine's memory.
    Host,
    /// This machine's memory, page-locked for copies to and from devices.
    Pinned,
    /// The memory of the device of this name.
    Device(String),
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryItem {
    /// What it is for.
    pub what: &'static str,
    /// Where it lies.
    pub place: Place,
    /// How many there are.
    pub count: u64,
    /// Bytes of one.
    pub each: u64,
}

/// The most memory that a model in an engine comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Every kind of memory on its own.
    pub items: Vec<MemoryItem>,
}

impl MemoryItem {
    /// Bytes of all, the most that a number holds if they are more.
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }

    /// `host`, `pinned`, or the name of the device.
    pub fn place_name(&self) -> &str {
        match &self.place {
            Place::Host => "host",
            Place::Pinned => "pinned",
            Place::Device(name) => name,
        }
    }
}

impl MemoryPlan {
    pub(super) fn add(&mut self, what: &'static str, place: Place, count: u64, each: u64) {
        self.items.push(MemoryItem { what, place, count, each });
    }

    pub(super) fn sum(&self, counts: impl Fn(&Place) -> bool) -> u64 {
        self.items
            .iter()
            .filter(|item| counts(&item.place))
            .fold(0, |sum, item| sum.saturating_add(item.bytes()))
    }

    /// Bytes of this machine's memory that are not pinned.
    pub fn host(&self) -> u64 {
        self.sum(|place| *place == Place::Host)
    }

    /// Bytes of page-locked memory.
    pub fn pinned(&self) -> u64 {
        self.sum(|place| *place == Place::Pinned)
    }

    /// Bytes in the memory of all devices.
    pub fn device(&self) -> u64 {
        self.sum(|place| matches!(place, Place::Device(_)))
    }

    /// Bytes that are taken when the engine is made, wherever they lie: all but budgets.
    pub fn taken_at_start(&self) -> u64 {
        let is_taken =
            |item: &&MemoryItem| ["weights", "arenas", "batches", "pictures", "results"].contains(&item.what);
        self.items.iter().filter(is_taken).fold(0, |sum, item| sum.saturating_add(item.bytes()))
    }

    /// A table for people.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let MemoryItem { what, count, each, .. } = item;
            let sum = if *count == 1 { String::new() } else { format!("  ({count} of {each})") };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{what:<33} {:<8} {:>16}{sum}", item.place_name(), item.bytes());
        }
        for (what, bytes) in [("host", self.host()), ("pinned", self.pinned()), ("device", self.device())] {
            let _ = writeln!(text, "{:<33} {what:<8} {bytes:>16}", "in all");
        }
        text
    }
}
