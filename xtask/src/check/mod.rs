//! Checks of what no compiler sees.

pub mod assembly;
pub mod generated;
pub mod layers;
pub mod sizes;
pub mod version;
