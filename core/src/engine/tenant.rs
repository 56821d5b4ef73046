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
    ids: RwLock<HashMap<String, TenantId>>,
}

impl Tenants {
    const MOST: usize = 1024;
    const LARGEST_WEIGHT: u32 = 1000;

    pub(super) fn get(&self, name: &str, weight: u32) -> Result<Tenant> {
        if !(1..=Self::LARGEST_WEIGHT).contains(&weight) {
            let message = format!(
                "weight of tenant {name:?} must be from 1 to {}, found {weight}",
                Self::LARGEST_WEIGHT
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if let Some(&id) = self.ids.read().get(name) {
            return Ok(Tenant { id, weight });
        }
        let mut ids = self.ids.write();
        let next = ids.len();
        if next >= Self::MOST && !ids.contains_key(name) {
            let message = format!("expected at most {} tenants, {name:?} is one more", Self::MOST);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        // 0 is everybody who gives no name.
        let id = *ids.entry(name.to_owned()).or_insert(next as TenantId + 1);
        Ok(Tenant { id, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_and_are_bounded() {
        let tenants = Tenants::default();
        let id = |name: &str| tenants.get(name, 1).map(|tenant| tenant.id);
        assert_eq!([id("a").unwrap(), id("b").unwrap(), id("a").unwrap()], [1, 2, 1]);
        assert!(tenants.get("a", 0).is_err() && tenants.get("a", 1001).is_err());
        for i in 2..Tenants::MOST {
            id(&i.to_string()).unwrap();
        }
        let error = id("one more").unwrap_err();
        assert!(error.message().contains("1024 tenants") && id("b").is_ok(), "{error}");
    }
}
