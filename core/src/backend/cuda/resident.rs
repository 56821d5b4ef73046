//! What an executable has on its device, and how it gets there again after the device was lost.

use super::context::Workplace;
use super::device::Device;
use super::device_pool::{DeviceBuffer, Ledger};
use super::module_cache::ModuleCache;
use super::stream::Stream;
use crate::error::Result;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Weights and kernels on a device.
pub(super) struct Resident {
    pub(super) modules: ModuleCache,
    pub(super) weights: DeviceBuffer,
    pub(super) device: Arc<Device>,
}

impl Resident {
    fn new<'a>(
        device: Arc<Device>,
        weights: &[u8],
        kernels: impl Iterator<Item = &'a str>,
    ) -> Result<Arc<Self>> {
        let modules = ModuleCache::new(&device);
        for name in kernels {
            modules.kernel(name)?;
        }
        let buffer = DeviceBuffer::new(&device, weights.len(), "weights")?;
        Stream::new(&device)?.write(&buffer, weights)?;
        Ok(Arc::new(Self { modules, weights: buffer, device }))
    }
}

/// A workplace that the device's loss takes from its context.
pub(super) type Shared = Arc<Mutex<Option<Workplace>>>;

/// The one resident of an executable at a time, with the workplaces that depend on it.
///
/// A context of the driver that has failed stays so until everybody has released it. So before another is made,
/// every workplace on the lost one is taken from its context, which then answers `DEVICE_LOST`.
pub(super) struct Residents {
    ordinal: u32,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    resident: Option<Arc<Resident>>,
    workplaces: Vec<Weak<Mutex<Option<Workplace>>>>,
}

impl Residents {
    pub(super) fn new(ordinal: u32, ledger: Arc<Ledger>) -> Self {
        Self { ordinal, ledger, state: Mutex::default() }
    }

    /// The resident, made anew if there is none or its device was lost. Blocks until runs on a lost one have ended.
    pub(super) fn get<'a>(
        &self,
        weights: &[u8],
        kernels: impl Iterator<Item = &'a str>,
    ) -> Result<Arc<Resident>> {
        let mut state = self.state.lock();
        if let Some(resident) = &state.resident
            && !resident.device.is_lost()
        {
            return Ok(Arc::clone(resident));
        }
        for workplace in std::mem::take(&mut state.workplaces) {
            drop(workplace.upgrade().map(|shared| shared.lock().take()));
        }
        state.resident = None;
        let device = Device::open(self.ordinal, Arc::clone(&self.ledger))?;
        let resident = Resident::new(device, weights, kernels)?;
        state.resident = Some(Arc::clone(&resident));
        Ok(resident)
    }

    /// Makes a workplace one that the loss of its device takes away.
    pub(super) fn register(&self, workplace: Workplace) -> Shared {
        let mut state = self.state.lock();
        state.workplaces.retain(|other| other.strong_count() > 0);
        let shared = Arc::new(Mutex::new(Some(workplace)));
        state.workplaces.push(Arc::downgrade(&shared));
        shared
    }
}
