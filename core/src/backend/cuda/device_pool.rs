//! Device memory: a ledger with a hard limit, buffers that it is charged for, and arenas carved by offsets.

use super::device::Device;
use crate::error::{Error, ErrorKind, Result};
use cudarc::driver::result;
use parking_lot::Mutex;
use std::sync::Arc;

/// Bytes of device memory that one engine has taken, and may take.
pub struct Ledger {
    limit: u64,
    taken: Mutex<u64>,
}

impl Ledger {
    /// At most `limit` bytes; `None` leaves it to the device.
    pub fn new(limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self { limit: limit.unwrap_or(u64::MAX), taken: Mutex::new(0) })
    }

    /// Bytes taken now.
    pub fn taken(&self) -> u64 {
        *self.taken.lock()
    }

    fn charge(&self, bytes: u64, what: &str) -> Result<()> {
        let mut taken = self.taken.lock();
        match taken.checked_add(bytes).filter(|sum| *sum <= self.limit) {
            Some(sum) => *taken = sum,
            None => {
                return Err(Error::new(
                    ErrorKind::OutOfMemory,
                    format!(
                        "{what}: {bytes} bytes of device memory would exceed device_memory_limit, {} bytes, of \
                         which {taken} are taken",
                        self.limit
                    ),
                ));
            }
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let mut taken = self.taken.lock();
        *taken = taken.saturating_sub(bytes);
    }
}

/// Device memory, given back when this is dropped. Nothing queued may use it then.
pub struct DeviceBuffer {
    device: Arc<Device>,
    address: u64,
    bytes: usize,
}

impl DeviceBuffer {
    /// At least one byte, unwritten. Fails with `OUT_OF_MEMORY`, naming `what`.
    pub fn new(device: &Arc<Device>, bytes: usize, what: &str) -> Result<Self> {
        let bytes = bytes.max(1);
        device.bind()?;
        device.ledger.charge(bytes as u64, what)?;
        // SAFETY: the length is not zero; `Drop` frees it.
        let made = device
            .check(format_args!("taking {bytes} bytes for {what}"), unsafe { result::malloc_sync(bytes) });
        match made {
            Ok(address) => Ok(Self { device: Arc::clone(device), address, bytes }),
            Err(error) => {
                device.ledger.give_back(bytes as u64);
                Err(error)
            }
        }
    }

    /// Where it starts.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc_sync` and is freed once.
        self.device.insist(|| unsafe { result::free_sync(self.address) });
        self.device.ledger.give_back(self.bytes as u64);
    }
}

/// Where a tensor lies in an arena, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the start of the arena.
    pub offset: usize,
    /// Its length.
    pub bytes: usize,
}

/// Tensors in one piece of device memory, sharing it as their plan says; or, for checks, each in a piece of its
/// own, so that a tool sees accesses beyond a tensor's end.
pub struct Arena {
    addresses: Vec<u64>,
    _buffers: Vec<DeviceBuffer>,
}

impl Arena {
    /// Room for all `places`. `separate` gives each its own allocation.
    pub fn new(device: &Arc<Device>, places: &[Place], separate: bool, what: &str) -> Result<Self> {
        if separate {
            let buffers = places.iter().map(|place| DeviceBuffer::new(device, place.bytes, what));
            let buffers: Vec<_> = buffers.collect::<Result<_>>()?;
            return Ok(Self {
                addresses: buffers.iter().map(DeviceBuffer::address).collect(),
                _buffers: buffers,
            });
        }
        let end = places.iter().map(|place| place.offset + place.bytes).max().unwrap_or(0);
        let buffer = DeviceBuffer::new(device, end, what)?;
        let addresses = places.iter().map(|place| buffer.address() + place.offset as u64).collect();
        Ok(Self { addresses, _buffers: vec![buffer] })
    }

    /// The address of the place of this number.
    pub fn address(&self, place: usize) -> u64 {
        self.addresses[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_hard_and_the_message_names_it() {
        let ledger = Ledger::new(Some(100));
        ledger.charge(60, "weights").expect("below");
        let error = ledger.charge(41, "arena").expect_err("above");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        for part in ["arena", "41", "100", "60", "device_memory_limit"] {
            assert!(error.message().contains(part), "{error}");
        }
        ledger.charge(40, "arena").expect("exactly the limit");
        ledger.give_back(60);
        assert_eq!(ledger.taken(), 40);
        assert!(Ledger::new(None).charge(u64::MAX, "everything").is_ok());
    }
}
