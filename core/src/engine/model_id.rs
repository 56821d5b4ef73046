//! The number by which a request names its model.

/// Which model of an engine a request is for; see [`Engine::model_id`](super::Engine::model_id). A number that
/// stays the model's through swaps, and comes back with its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModelId(pub(super) u32);
