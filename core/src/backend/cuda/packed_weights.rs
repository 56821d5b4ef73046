//! The weights of a whole network as the device takes them: packed once, copied to the device as one piece.

/// Where every layer's weights start: what the widest loads of the kernels ask for, and a cache line of the device.
const ALIGNMENT: usize = 256;

/// Bytes of all layers, kept on this side too: a device that was lost gets them again.
#[derive(Default)]
pub(super) struct PackedWeights {
    bytes: Vec<u8>,
}

/// Where a layer's weights and bias lie, in bytes from the start of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) weights: u64,
    pub(super) bias: u64,
}

impl PackedWeights {
    pub(super) fn add(&mut self, [weights, bias]: [Vec<u8>; 2]) -> Parameters {
        let mut place = |part: Vec<u8>| {
            let start = self.bytes.len().next_multiple_of(ALIGNMENT);
            self.bytes.resize(start, 0);
            self.bytes.extend(part);
            start as u64
        };
        Parameters { weights: place(weights), bias: place(bias) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
