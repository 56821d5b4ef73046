//! The embedded modules of one device, each unpacked and loaded when its first kernel is asked for.

use super::device::Device;
use super::launch::Kernel;
use crate::error::{Error, ErrorKind, Result};
use cudarc::driver::sys::{CUfunction_attribute, CUmodule};
use cudarc::driver::{result, sys};
use libvision_kernels::cuda::images::{Image, Kind};
use libvision_kernels::cuda::modules::{EntryPoint, MODULES, Module};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::CString;
use std::io::Read;
use std::sync::Arc;

/// Dynamic shared memory that every kernel may take without asking.
const COMMON_SHARED_BYTES: u32 = 48 << 10;

/// Modules loaded on one device, unloaded when this is dropped. No kernel of them may be queued then.
pub struct ModuleCache {
    device: Arc<Device>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, CUmodule>,
    kernels: HashMap<&'static str, Kernel>,
}

// SAFETY: modules may be used from every thread with their context current.
unsafe impl Send for ModuleCache {}
// SAFETY: as above, and the maps are behind a lock.
unsafe impl Sync for ModuleCache {}

impl ModuleCache {
    /// With nothing loaded.
    pub fn new(device: &Arc<Device>) -> Self {
        Self { device: Arc::clone(device), loaded: Mutex::default() }
    }

    /// The kernel of this name. Fails with `DEVICE_UNAVAILABLE` if the device cannot run it.
    pub fn kernel(&self, name: &str) -> Result<Kernel> {
        let mut loaded = self.loaded.lock();
        if let Some(kernel) = loaded.kernels.get(name) {
            return Ok(*kernel);
        }
        let (module, entry) = find(name)?;
        self.device.bind()?;
        let raw = match loaded.modules.get(module.name) {
            Some(raw) => *raw,
            None => {
                let raw = self.load(module)?;
                loaded.modules.insert(module.name, raw);
                raw
            }
        };
        let kernel = self.entry_point(raw, entry)?;
        loaded.kernels.insert(entry.name, kernel);
        Ok(kernel)
    }

    fn load(&self, module: &Module) -> Result<CUmodule> {
        let facts = self.device.facts();
        let image = facts.image(module.name).ok_or_else(|| {
            let [major, minor] = facts.capability;
            Error::new(
                ErrorKind::DeviceUnavailable,
                format!("module {:?}: no image for compute capability {major}.{minor}", module.name),
            )
        })?;
        let bytes = unpack(image)?;
        // SAFETY: a cubin states its own length, and a text ends in a zero byte; `unpack` checked both.
        let loaded = unsafe { result::module::load_data(bytes.as_ptr().cast()) };
        self.device.check(format_args!("loading module {:?}", module.name), loaded)
    }

    fn entry_point(&self, module: CUmodule, entry: &EntryPoint) -> Result<Kernel> {
        let capability = self.device.facts().capability;
        if entry.needs_bf16 && capability[0] < 8 {
            return Err(Error::new(
                ErrorKind::DeviceUnavailable,
                format!(
                    "{}: bf16 needs compute capability 8.0, this device has {}.{}; use f16",
                    entry.name, capability[0], capability[1]
                ),
            ));
        }
        let name = CString::new(entry.name)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("kernel {:?}: {error}", entry.name)))?;
        // SAFETY: the module is loaded.
        let found = unsafe { result::module::get_function(module, name) };
        let function = self.device.check(format_args!("looking for kernel {}", entry.name), found)?;
        if entry.shared_bytes > COMMON_SHARED_BYTES {
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is of a loaded module.
            let set = unsafe { sys::cuFuncSetAttribute(function, attribute, entry.shared_bytes as i32) };
            self.device.check(format_args!("{} bytes of shared memory", entry.shared_bytes), set.result())?;
        }
        Ok(Kernel::new(function))
    }
}

impl Drop for ModuleCache {
    fn drop(&mut self) {
        for module in self.loaded.get_mut().modules.values() {
            // SAFETY: loaded in `load`, unloaded once.
            self.device.insist(|| unsafe { result::module::unload(*module) });
        }
    }
}

fn find(name: &str) -> Result<(&'static Module, &'static EntryPoint)> {
    let entries = MODULES.iter().flat_map(|module| module.entry_points.iter().map(move |e| (module, e)));
    entries.into_iter().find(|(_, entry)| entry.name == name).ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("kernel {name:?} is not in the list of modules"))
    })
}

/// The image as the driver takes it: code, or a text and a zero byte.
fn unpack(image: &Image) -> Result<Vec<u8>> {
    let damaged = |why: String| {
        Error::new(
            ErrorKind::Internal,
            format!("the embedded image of module {:?} is damaged: {why}", image.module),
        )
    };
    let decoder = ruzstd::decoding::StreamingDecoder::new(image.compressed);
    let decoder = decoder.map_err(|error| damaged(error.to_string()))?;
    let mut bytes = Vec::with_capacity(image.bytes + 1);
    decoder
        .take(image.bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    if bytes.len() != image.bytes {
        return Err(damaged(format!("expected {} bytes, found {}", image.bytes, bytes.len())));
    }
    match image.kind {
        Kind::Ptx => bytes.push(0),
        Kind::Cubin if bytes.starts_with(b"\x7fELF") => {}
        Kind::Cubin => return Err(damaged("it is no ELF file".into())),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libvision_kernels::cuda::prebuilt::IMAGES;
    use sha2::{Digest, Sha256};

    #[test]
    fn every_image_unpacks_to_what_was_compiled() {
        for image in IMAGES {
            let bytes = unpack(image).expect("sound");
            let hash = Sha256::digest(&bytes[..image.bytes]);
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, image.sha256, "{} for {}", image.module, image.capability);
            assert_eq!(bytes.last() == Some(&0) && bytes.len() > image.bytes, image.kind == Kind::Ptx);
        }
    }

    #[test]
    fn a_damaged_image_is_an_error_that_names_it() {
        let sound = IMAGES[0];
        for image in [
            Image { compressed: &sound.compressed[..sound.compressed.len() / 2], ..sound },
            Image { compressed: &[0; 64], ..sound },
            Image { bytes: sound.bytes - 1, ..sound },
        ] {
            let error = unpack(&image).expect_err("damaged");
            assert!(error.message().contains(sound.module), "{error}");
        }
        assert!(find("f16_softmax").is_err());
        assert_eq!(find("f32_softmax").expect("there").0.name, "rows");
    }
}
