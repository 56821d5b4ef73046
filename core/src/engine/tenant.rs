//! Names of tenants, and the numbers that stand for them.

use super::machine::TenantId;
use crate::error::{Error, ErrorKind, Result};
use parking_lot::RwLock;
use std::collections::HashMap;

/// Whose a request is. Tenants share an engine by their weights, whoever sends how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    pub(super) id: TenantId,
    pub(super) weight: u32,
}

impl Default for Tenant {
    /// Everybody who says nothing.
    fn default() -> Self {
        Self { id: 0, weight: 1 }
    }
}

/// All tenants of one engine; never more than a bound, and none is forgotten.
#[derive(Default)]
pub(super) struct Tenants {
    known: RwLock<HashMap<String, Tenant>>,
}

impl Tenants {
    const MOST: usize = 1024;
    const LARGEST_WEIGHT: u32 = 1000;

    /// Those with a share of their own. Fails with `INVALID_ARGUMENT` for a weight out of range, a name that is
    /// given twice, and for too many.
    pub(super) fn new(weights: &[(String, u32)]) -> Result<Self> {
        let tenants = Self::default();
        for (name, weight) in weights {
            if !(1..=Self::LARGEST_WEIGHT).contains(weight) {
                let most = Self::LARGEST_WEIGHT;
                return Err(invalid(format!(
                    "the weight of tenant {name:?} must be from 1 to {most}, found {weight}"
                )));
            }
            if tenants.known.read().contains_key(name) {
                return Err(invalid(format!("tenant {name:?} has two weights; expected one")));
            }
            tenants.add(name, *weight)?;
        }
        Ok(tenants)
    }

    /// The tenant of this name, with the weight it was given or 1. Fails with `INVALID_ARGUMENT` for one too many.
    pub(super) fn get(&self, name: &str) -> Result<Tenant> {
        let known = self.known.read().get(name).copied();
        known.map_or_else(|| self.add(name, 1), Ok)
    }

    fn add(&self, name: &str, weight: u32) -> Result<Tenant> {
        let mut known = self.known.write();
        if let Some(&tenant) = known.get(name) {
            return Ok(tenant);
        }
        let count = known.len();
        if count >= Self::MOST {
            let most = Self::MOST;
            return Err(invalid(format!("expected at most {most} tenants, {name:?} is one more")));
        }
        // 0 is everybody who gives no name.
        let tenant = Tenant { id: count as TenantId + 1, weight };
        known.insert(name.to_owned(), tenant);
        Ok(tenant)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_are_bounded() {
        let tenants = Tenants::new(&[("a".into(), 7)]).unwrap();
        let get = |name: &str| tenants.get(name).map(|Tenant { id, weight }| (id, weight));
        assert_eq!([get("a").unwrap(), get("b").unwrap(), get("a").unwrap()], [(1, 7), (2, 1), (1, 7)]);
        for i in 2..Tenants::MOST {
            get(&i.to_string()).unwrap();
        }
        let error = get("one more").unwrap_err();
        assert!(error.message().contains("1024 tenants") && get("b").is_ok(), "{error}");
    }

    #[test]
    fn a_weight_is_one_number_within_its_range() {
        for weights in [&[("a", 0)][..], &[("a", 1001)], &[("a", 1), ("b", 2), ("a", 1)]] {
            let weights: Vec<_> =
                weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            let error = Tenants::new(&weights).err().expect("refused");
            assert!(error.message().contains("tenant \"a\""), "{error}");
        }
    }
}
