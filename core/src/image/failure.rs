//! Errors of decoding, worded alike: each names the format, the stage and, where known, the byte.

use super::format::ImageFormat;
use crate::error::{Error, ErrorKind};
use std::fmt::Display;

/// Where a decoder stands in a file.
#[derive(Clone, Copy)]
pub(super) struct Place {
    format: ImageFormat,
    stage: &'static str,
    offset: Option<usize>,
}

impl Place {
    /// A stage of which the byte offset is not known.
    pub(super) const fn stage(format: ImageFormat, stage: &'static str) -> Self {
        Self { format, stage, offset: None }
    }

    /// A stage that begins at this byte of the file.
    pub(super) const fn at(format: ImageFormat, stage: &'static str, offset: usize) -> Self {
        Self { format, stage, offset: Some(offset) }
    }

    /// The data contradicts the format.
    pub(super) fn corrupt(self, what: impl Display) -> Error {
        self.error(ErrorKind::ImageCorrupt, what)
    }

    /// The file ends before its data does.
    pub(super) fn truncated(self, what: impl Display) -> Error {
        self.error(ErrorKind::ImageTruncated, what)
    }

    /// The data uses a feature that is not decoded.
    pub(super) fn unsupported(self, what: impl Display) -> Error {
        self.error(ErrorKind::ImageUnsupported, what)
    }

    fn error(self, kind: ErrorKind, what: impl Display) -> Error {
        let Self { format, stage, .. } = self;
        match self.offset {
            Some(offset) => Error::new(kind, format!("{format} image, {stage} at byte {offset}: {what}")),
            None => Error::new(kind, format!("{format} image, {stage}: {what}")),
        }
    }
}
