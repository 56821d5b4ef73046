//! The models of one engine by name: who answers for a name now, and the numbers that stand for names.

use super::lane::Lane;
use super::model_id::ModelId;
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Every name that was ever used has its place; never more than a bound.
#[derive(Default)]
pub(super) struct Models {
    names: Vec<Name>,
    pub(super) is_closed: bool,
}

struct Name {
    name: String,
    /// Versions so far.
    versions: u64,
    lane: Option<Arc<Lane>>,
}

impl Models {
    /// The model that an engine is made with.
    pub(super) const DEFAULT: &str = "default";
    const MOST: usize = 1024;

    /// Who answers for this number. Fails with `INVALID_ARGUMENT` if the model was unloaded.
    pub(super) fn get(&self, ModelId(id): ModelId) -> Result<&Arc<Lane>> {
        let name = self.names.get(id as usize);
        name.and_then(|name| name.lane.as_ref()).ok_or_else(|| {
            let name = name.map_or(format!("number {id}"), |name| format!("{:?}", name.name));
            self.not_loaded(&name)
        })
    }

    /// Who answers for this name, and its number. Fails with `INVALID_ARGUMENT`, naming those that are loaded.
    pub(super) fn find(&self, name: &str) -> Result<(ModelId, &Arc<Lane>)> {
        let at = self.position(name);
        let lane = at.and_then(|at| Some((ModelId(at as u32), self.names[at].lane.as_ref()?)));
        lane.ok_or_else(|| self.not_loaded(&format!("{name:?}")))
    }

    fn not_loaded(&self, name: &str) -> Error {
        let loaded: Vec<String> = self.loaded().map(|lane| format!("{:?}", lane.name())).collect();
        let message = format!("model {name} is not loaded; these are: {}", loaded.join(", "));
        Error::new(ErrorKind::InvalidArgument, message)
    }

    /// All that are loaded, in the order in which their names came.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.names.iter().filter_map(|name| name.lane.as_ref())
    }

    /// The number of the next version under this name. Fails with `INVALID_ARGUMENT` for one name too many.
    pub(super) fn next_version(&self, name: &str) -> Result<u64> {
        match self.position(name) {
            Some(at) => Ok(self.names[at].versions + 1),
            None if self.names.len() < Self::MOST => Ok(1),
            None => {
                let message =
                    format!("expected at most {} names of models, {name:?} is one more", Self::MOST);
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
        }
    }

    /// From now on this lane answers for its name; the one that did so before is given back.
    pub(super) fn put(&mut self, lane: Arc<Lane>) -> (ModelId, Option<Arc<Lane>>) {
        let at = self.position(lane.name()).unwrap_or_else(|| {
            self.names.push(Name { name: lane.name().to_owned(), versions: 0, lane: None });
            self.names.len() - 1
        });
        let name = &mut self.names[at];
        name.versions = lane.version();
        (ModelId(at as u32), name.lane.replace(lane))
    }

    /// From now on nobody answers for this name.
    pub(super) fn take(&mut self, name: &str) -> Option<Arc<Lane>> {
        let at = self.position(name)?;
        self.names[at].lane.take()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other.name == name)
    }
}
