//! What the program did wrong: printed once each, counted, and at exit turned into a failure.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Default)]
pub(crate) struct Reports {
    counts: BTreeMap<String, u64>,
    file: Option<PathBuf>,
    trace: Option<File>,
}

impl Reports {
    pub(crate) fn new(file: Option<PathBuf>, trace: Option<PathBuf>) -> Self {
        let trace = trace.and_then(|path| File::create(path).ok());
        Self { counts: BTreeMap::new(), file, trace }
    }

    /// `kind` is one of the words in README.md.
    pub(crate) fn report(&mut self, kind: &str, text: &str) {
        let line = format!("{kind}: {text}");
        let count = self.counts.entry(line.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            return;
        }
        eprintln!("SWCUDA {line}");
        let open = |path| OpenOptions::new().create(true).append(true).open(path).ok();
        if let Some(mut file) = self.file.as_ref().and_then(open) {
            // One write, so that lines of several processes do not mix. There is nobody to tell of a failure.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn trace(&mut self, line: &str) {
        if let Some(file) = &mut self.trace {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}
