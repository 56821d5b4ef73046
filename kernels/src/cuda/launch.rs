//! What a launch is: an entry point, its grid and block, and its argument block.

use super::arguments::{ACTIVATIONS, ArgumentBlock, EpilogueArguments};
use super::modules::entry_point;
use crate::epilogue::Activation;
use crate::geometry::GeometryError;

/// Channels of a device tensor are padded to a multiple of this; a lane handles as many at a time.
pub const CHANNELS_AT_ONCE: usize = 8;

/// The channels that a tensor of `channels` channels is stored with. What lies in those beyond the last is
/// finite and no result depends on it.
pub const fn stored_channels(channels: usize) -> usize {
    channels.next_multiple_of(CHANNELS_AT_ONCE)
}

/// A launch, ready for the driver.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Name of the entry point.
    pub entry_point: &'static str,
    /// Blocks, all along x.
    pub blocks: u32,
    /// Threads of a block, all along x.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
    /// The one argument, passed by value.
    pub arguments: Vec<u8>,
}

/// The launch of an entry point of the list on `blocks` blocks.
pub(super) fn launch<A: ArgumentBlock>(
    name: &'static str,
    blocks: u32,
    arguments: &A,
) -> Result<Launch, GeometryError> {
    if blocks == 0 {
        return Err(GeometryError::new(format!(
            "{name}: there is nothing to do; a batch has at least one image"
        )));
    }
    let entry = entry_point(name).expect("families name entry points of the list");
    Ok(Launch {
        entry_point: entry.name,
        blocks,
        threads: entry.threads,
        shared_bytes: entry.shared_bytes,
        arguments: bytemuck::bytes_of(arguments).to_vec(),
    })
}

/// The launch of an entry point on one thread per item.
pub(super) fn launch_items<A: ArgumentBlock>(
    name: &'static str,
    items: u32,
    arguments: &A,
) -> Result<Launch, GeometryError> {
    let threads = entry_point(name).expect("families name entry points of the list").threads;
    launch(name, items.div_ceil(threads), arguments)
}

impl EpilogueArguments {
    /// The argument block of an activation, and of a residual if its address is not 0.
    pub fn new(activation: Activation, residual: u64) -> Self {
        let (name, first, second) = match activation {
            Activation::Identity => ("IDENTITY", 0.0, 0.0),
            Activation::Relu => ("RELU", 0.0, 0.0),
            Activation::Clip { low, high } => ("CLIP", low, high),
            Activation::Sigmoid => ("SIGMOID", 0.0, 0.0),
            Activation::Silu => ("SILU", 0.0, 0.0),
            Activation::HardSigmoid { alpha, beta } => ("HARD_SIGMOID", alpha, beta),
            Activation::HardSwish => ("HARD_SWISH", 0.0, 0.0),
        };
        let number =
            ACTIVATIONS.iter().position(|known| *known == name).expect("every activation has a number");
        Self { residual, activation: number as u32, first, second, unused: 0 }
    }
}

/// `value` as the 32-bit number that the device counts with, below 2^31 so that [`super::divisor`] is exact.
pub(super) fn size(what: &str, value: usize) -> Result<u32, GeometryError> {
    u32::try_from(value).ok().filter(|value| *value < 1 << 31).ok_or_else(|| {
        GeometryError::new(format!(
            "{value} {what} are more than the kernels count, 2147483647; use smaller batches"
        ))
    })
}
