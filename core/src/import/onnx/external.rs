//! Constants that lie in a file beside the model, and nowhere else.
//!
//! A model file may name any path, so the rules are strict: a plain file name, a regular file in the
//! model's own folder, no symbolic link, and a range that lies inside it (compare CVE-2026-27489 and
//! CVE-2026-34445, where the reference reader was less so).

use super::messages::StringStringEntryProto;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{ReadOptions, read_file_beside};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// The files beside one model; each is opened once.
pub(super) struct ExternalFiles {
    folder: Option<PathBuf>,
    options: ReadOptions,
    opened: HashMap<String, Bytes>,
}

impl ExternalFiles {
    /// Files in `folder`; without one, every reference is an error.
    pub(super) fn new(folder: Option<&Path>, options: ReadOptions) -> Self {
        Self { folder: folder.map(Path::to_path_buf), options, opened: HashMap::new() }
    }

    /// The bytes that `entries` (of `TensorProto.external_data`) refer to.
    pub(super) fn read(&mut self, entries: &[StringStringEntryProto]) -> Result<Bytes> {
        let mut location = None;
        let mut offset = 0;
        let mut length = None;
        for entry in entries {
            match entry.key() {
                "location" => location = Some(entry.value()),
                "offset" => offset = number(entry)?,
                "length" => length = Some(number(entry)?),
                "checksum" => {}
                other => return Err(invalid(format!("external data has no key {other:?}"))),
            }
        }
        let location = location.ok_or_else(|| invalid("external data without a location".into()))?;
        let bytes = self.file(location)?;
        let end = match length {
            Some(length) => offset.checked_add(length),
            None => Some(bytes.len()),
        };
        match end {
            Some(end) if end <= bytes.len() && offset <= end => Ok(bytes.slice(offset..end)),
            _ => Err(Error::new(
                ErrorKind::ModelCorrupt,
                format!(
                    "external data at offset {offset} of length {length:?} does not lie in {location:?}, which has {} bytes",
                    bytes.len()
                ),
            )),
        }
    }

    fn file(&mut self, location: &str) -> Result<Bytes> {
        if let Some(bytes) = self.opened.get(location) {
            return Ok(bytes.clone());
        }
        let mut components = Path::new(location).components();
        let plain = matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == location)
            && !location.contains(['\0', '\\', '/']);
        if !plain {
            return Err(invalid(format!(
                "external data in {location:?}: expected the name of a file in the model's own folder"
            )));
        }
        let folder = self.folder.as_deref().ok_or_else(|| {
            invalid(format!("external data in {location:?}, and the model was not loaded from a folder"))
        })?;
        let bytes = read_file_beside(folder, location, self.options)
            .map_err(|error| error.context("external data (a symbolic link is not followed)"))?;
        self.opened.insert(location.into(), bytes.clone());
        Ok(bytes)
    }
}

fn number(entry: &StringStringEntryProto) -> Result<usize> {
    entry.value().parse().map_err(|_| {
        invalid(format!(
            "external data: expected a number of bytes as {}, found {:?}",
            entry.key(),
            entry.value()
        ))
    })
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::ModelInvalid, message)
}
