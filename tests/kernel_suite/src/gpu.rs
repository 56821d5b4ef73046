//! A device behind the driver. Buffers are copied there and back around each launch, so that kernels see memory of
//! the device alone and nothing of the launch before.

use anyhow::{Context, Result};
use libvision::backend::cuda::device::Device as CudaDevice;
use libvision::backend::cuda::device_pool::{DeviceBuffer, Ledger};
use libvision::backend::cuda::module_cache::ModuleCache;
use libvision::backend::cuda::stream::Stream;
use libvision_cuda_emulator::{Access, Counts, Device};
use libvision_kernels::cuda::launch::Launch;
use std::sync::Arc;

/// A device, and the kernels that it was asked for.
pub struct Gpu {
    device: Arc<CudaDevice>,
    modules: ModuleCache,
}

impl Gpu {
    /// Device `ordinal`.
    pub fn open(ordinal: u32) -> Result<Self> {
        let device = CudaDevice::open(ordinal, Ledger::new(None))?;
        Ok(Self { modules: ModuleCache::new(&device), device })
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        self.device.facts().describe()
    }
}

impl Device for Gpu {
    /// Counts nothing.
    fn launch(&self, launch: &Launch, buffers: &mut [Access<'_>], _: u64) -> Result<Counts> {
        let kernel = self.modules.kernel(launch.entry_point)?;
        let places: Vec<(u64, usize)> = buffers.iter().map(Access::place).collect();
        let copies = places
            .iter()
            .map(|(_, bytes)| DeviceBuffer::new(&self.device, *bytes, "a buffer of the kernel suite"))
            .collect::<libvision::Result<Vec<_>>>()?;
        // A case knows its buffers by their addresses here; whatever points into one is made to point into the copy.
        let relocated = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for word in bytes.as_chunks_mut::<8>().0 {
                let pointer = u64::from_le_bytes(*word);
                let inside =
                    |(start, bytes): &(u64, usize)| (*start..*start + *bytes as u64).contains(&pointer);
                if let Some(place) = places.iter().position(inside) {
                    *word = (copies[place].address() + pointer - places[place].0).to_le_bytes();
                }
            }
            bytes
        };
        let launch = Launch { arguments: relocated(&launch.arguments), ..launch.clone() };
        let stream = Stream::new(&self.device)?;
        for (copy, buffer) in copies.iter().zip(&*buffers) {
            stream.write(copy, &relocated(&buffer.to_bytes()))?;
        }
        // SAFETY: the addresses that the case's arguments hold are those of its buffers, which are as large on the
        // device; `stream` is dropped, and waited for, before `copies`.
        unsafe { stream.launch(&kernel, &launch) }?;
        stream.synchronize()?;
        for (buffer, copy) in buffers.iter_mut().zip(&copies) {
            let read = |bytes| stream.read(copy, bytes).context("results");
            match buffer {
                Access::Write(memory) => memory.write(&read(memory.len())?),
                Access::WriteAt { bytes, .. } => bytes.copy_from_slice(&read(bytes.len())?),
                Access::Read(_) | Access::ReadAt { .. } => {}
            }
        }
        Ok(Counts::default())
    }
}
