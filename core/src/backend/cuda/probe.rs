//! Whether a driver and a device are here and fit. cudarc panics where the driver or one of its functions is
//! missing, so nothing else in this backend is called before [`driver`] has succeeded.

use crate::error::{Error, ErrorKind};
use cudarc::driver::sys::CUdevice_attribute::*;
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute};
use cudarc::driver::{DriverError, result};
use libvision_kernels::cuda::images::{Image, Kind, image_for};
use std::fmt;
use std::os::raw::c_int;

/// CUDA version of the oldest driver that is used: 12.0, which came with R525.
const OLDEST_DRIVER: i32 = 12000;

/// Every function of the driver that this backend calls. All are in R525.
pub const FUNCTIONS: &[&str] = &[
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuMemGetInfo_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventElapsedTime",
    "cuEventDestroy_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuModuleUnload",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuGraphInstantiateWithFlags",
    "cuGraphUpload",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
];

/// Why there is no device to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No driver library.
    Library,
    /// A driver without this function.
    Function(&'static str),
    /// A driver that speaks an older CUDA than 12.0, as in 11080 for 11.8.
    OldDriver(i32),
    /// The driver is there and refuses to start.
    Driver(String),
    /// The driver works and sees no device.
    Devices,
    /// Fewer devices than that.
    Device {
        /// The number asked for, from 0.
        ordinal: u32,
        /// Devices there are.
        count: u32,
    },
    /// A device that no embedded image is for.
    Capability {
        /// Its number.
        ordinal: u32,
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: [u32; 2],
    },
}

impl Missing {
    /// What a person can do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Missing::Library => {
                "install the NVIDIA driver, version 525 or newer; in a container, start it with access to the GPU"
            }
            Missing::Function(_) | Missing::OldDriver(_) => {
                "update the NVIDIA driver to version 525 or newer"
            }
            Missing::Driver(_) => "check `nvidia-smi`; after an update of the driver restart the machine",
            Missing::Devices => "check `nvidia-smi -L` and CUDA_VISIBLE_DEVICES",
            Missing::Device { .. } => {
                "take a smaller number; devices count from 0, after CUDA_VISIBLE_DEVICES"
            }
            Missing::Capability { .. } => {
                "use a GPU of the Turing generation (compute capability 7.5) or newer"
            }
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Library => write!(f, "no NVIDIA driver is installed here (libcuda was not found)"),
            Missing::Function(name) => write!(f, "the NVIDIA driver lacks the function {name}"),
            Missing::OldDriver(found) => {
                let [found, needed] = [*found, OLDEST_DRIVER].map(version);
                write!(f, "the NVIDIA driver is too old: it speaks CUDA {found}, and {needed} is needed")
            }
            Missing::Driver(why) => write!(f, "the NVIDIA driver does not start: {why}"),
            Missing::Devices => write!(f, "the NVIDIA driver sees no device"),
            Missing::Device { ordinal, count } => {
                write!(f, "there is no CUDA device {ordinal}; the driver sees {count}")
            }
            Missing::Capability { ordinal, name, capability: [major, minor] } => write!(
                f,
                "CUDA device {ordinal} ({name}) has compute capability {major}.{minor}, and kernels are here for \
                 7.5 and newer"
            ),
        }
    }
}

impl std::error::Error for Missing {}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        Error::new(ErrorKind::DeviceUnavailable, format!("{missing}; {}", missing.fix()))
    }
}

/// A driver that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverFacts {
    /// Newest CUDA that it speaks, as in 12040 for 12.4.
    pub cuda_version: i32,
    /// Devices it sees.
    pub devices: u32,
}

impl DriverFacts {
    /// The version for people, as in 12.4.
    pub fn version(&self) -> String {
        version(self.cuda_version)
    }
}

/// A device that our kernels run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// N in `cuda:N`.
    pub ordinal: u32,
    /// What its maker calls it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: [u32; 2],
    /// Bytes of its memory.
    pub memory: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Whether it can copy while it computes.
    pub copies_beside: bool,
}

impl DeviceFacts {
    /// The embedded image of a module that this device runs.
    pub fn image(&self, module: &str) -> Option<&'static Image> {
        let [major, minor] = self.capability;
        image_for(module, major, minor)
    }

    /// For people: what it is and where its kernels come from.
    pub fn describe(&self) -> String {
        let [major, minor] = self.capability;
        let kernels = match self.image("conv2d") {
            Some(Image { kind: Kind::Cubin, capability, .. }) => format!("compiled for sm_{capability}"),
            Some(Image { kind: Kind::Ptx, capability, .. }) => {
                format!("from PTX for compute_{capability}, which the driver compiles at load")
            }
            None => "none".into(),
        };
        let gibibytes = self.memory as f64 / f64::from(1 << 30);
        format!(
            "{}, compute capability {major}.{minor}, {gibibytes:.1} GiB, {} multiprocessors, kernels {kernels}",
            self.name, self.multiprocessors
        )
    }
}

/// Looks for the driver and starts it. Makes no context; may be called any number of times.
pub fn driver() -> Result<DriverFacts, Missing> {
    // SAFETY: loading a library runs its initialisers; this one is the system's own driver.
    if !unsafe { sys::is_culib_present() } {
        return Err(Missing::Library);
    }
    for name in FUNCTIONS {
        // SAFETY: the library was found above, and the address is not called, nor is it kept.
        if unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err() {
            return Err(Missing::Function(name));
        }
    }
    let mut cuda_version: c_int = 0;
    // SAFETY: `cuDriverGetVersion` writes one number, and may be called before `cuInit`.
    unsafe { sys::cuDriverGetVersion(&mut cuda_version) }.result().map_err(refused)?;
    if cuda_version < OLDEST_DRIVER {
        return Err(Missing::OldDriver(cuda_version));
    }
    match result::init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(Missing::Devices),
        other => other.map_err(refused)?,
    }
    let devices = result::device::get_count().map_err(refused)?;
    Ok(DriverFacts { cuda_version, devices: u32::try_from(devices).unwrap_or(0) })
}

/// Looks at a device, without making a context on it.
pub fn device(ordinal: u32) -> Result<DeviceFacts, Missing> {
    let DriverFacts { devices: count, .. } = driver()?;
    if count == 0 {
        return Err(Missing::Devices);
    }
    if ordinal >= count {
        return Err(Missing::Device { ordinal, count });
    }
    let device = result::device::get(ordinal as c_int).map_err(refused)?;
    let name = result::device::get_name(device).map_err(refused)?;
    let capability = [
        attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    ];
    let facts = DeviceFacts {
        ordinal,
        capability,
        // SAFETY: `device` came from the driver.
        memory: unsafe { result::device::total_mem(device) }.map_err(refused)? as u64,
        multiprocessors: attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        copies_beside: attribute(device, CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT)? > 0,
        name,
    };
    match facts.image("conv2d") {
        Some(_) => Ok(facts),
        None => Err(Missing::Capability { ordinal, name: facts.name, capability }),
    }
}

fn attribute(device: CUdevice, attribute: CUdevice_attribute) -> Result<u32, Missing> {
    // SAFETY: `device` came from the driver.
    let value = unsafe { result::device::get_attribute(device, attribute) }.map_err(refused)?;
    Ok(u32::try_from(value).unwrap_or(0))
}

fn refused(error: DriverError) -> Missing {
    Missing::Driver(format!("{:?} ({})", error.0, error.0 as u32))
}

fn version(cuda: i32) -> String {
    format!("{}.{}", cuda / 1000, cuda % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_sentence_with_its_fix() {
        let name = "Tesla K80".to_owned();
        let reasons = [
            Missing::Library,
            Missing::Function("cuGraphUpload"),
            Missing::OldDriver(11080),
            Missing::Driver("CUDA_ERROR_UNKNOWN (999)".into()),
            Missing::Devices,
            Missing::Device { ordinal: 3, count: 1 },
            Missing::Capability { ordinal: 0, name, capability: [3, 7] },
        ];
        let mut seen = std::collections::HashSet::new();
        for missing in reasons {
            let error = Error::from(missing.clone());
            assert_eq!(error.kind(), ErrorKind::DeviceUnavailable);
            assert!(error.message().contains(missing.fix()) && !error.message().contains('\n'), "{error}");
            assert!(seen.insert(missing.to_string()), "{missing}");
        }
        assert!(Missing::OldDriver(11080).to_string().contains("11.8, and 12.0"));
    }
}
