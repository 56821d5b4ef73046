//! Networks that files of weights alone do not describe: built from the names and shapes of their tensors.

mod resnet;
mod resnet_names;

pub use resnet::{ResNetOptions, resnet};
