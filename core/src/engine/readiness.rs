//! Whether a model serves, or why not.

use super::machine::Unready;
use std::fmt;

/// Whether requests for a model should be sent here. Being ready is earned: every worker has run images whose
/// answers are known, at every batch size, and has given the same bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They should.
    Ready,
    /// They should not, for now.
    NotReady {
        /// What is missing, a sentence for people.
        reason: String,
    },
}

impl Readiness {
    /// Why not, if not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Readiness::Ready => None,
            Readiness::NotReady { reason } => Some(reason),
        }
    }

    pub(super) fn of(unready: Option<Unready>, is_proven: bool, last_failure: Option<&str>) -> Self {
        let reason = match unready {
            None if is_proven => return Readiness::Ready,
            None => "it was not proven: the option prove is off".into(),
            Some(Unready::Closed) => "it is closed, or closing".into(),
            Some(Unready::Workers { usable, of }) => {
                let why =
                    last_failure.map_or(String::new(), |failure| format!("; the last failure: {failure}"));
                format!("{} of {of} workers cannot run and are made anew{why}", of - usable)
            }
        };
        Readiness::NotReady { reason }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readiness::Ready => f.write_str("ready"),
            Readiness::NotReady { reason } => write!(f, "not ready: {reason}"),
        }
    }
}
