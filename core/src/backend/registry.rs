//! Names of devices, and the backends that drive them.

use super::cpu::CpuBackend;
use super::{Availability, Backend};
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;

/// A device that can run here.
pub struct Device {
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// What drives it.
    pub backend: Arc<dyn Backend>,
    /// What it is, for people: kernels and vectors.
    pub what: String,
    /// Why this one, and what it is: a sentence for people.
    pub reason: String,
}

/// The device of this name: `auto`, `cpu` or `cuda:N`.
///
/// Fails with `DEVICE_UNAVAILABLE` if it cannot run here, and with `INVALID_ARGUMENT` if nothing has this
/// name or the environment asks for kernels that this CPU cannot run.
pub fn open(device: &str) -> Result<Device> {
    match device {
        "auto" => cpu("auto took cpu, because this build has no CUDA backend yet"),
        "cpu" => cpu("cpu was asked for"),
        _ => Err(match device.strip_prefix("cuda:").map(str::parse::<u32>) {
            Some(Ok(_)) => Error::new(
                ErrorKind::DeviceUnavailable,
                format!(
                    "device {device:?}: this build of libvision has no CUDA backend yet; \"cpu\" always works"
                ),
            ),
            _ => Error::new(
                ErrorKind::InvalidArgument,
                format!("device: expected \"auto\", \"cpu\" or \"cuda:N\" with a number N, found {device:?}"),
            ),
        }),
    }
}

fn cpu(why: &str) -> Result<Device> {
    let backend = Arc::new(CpuBackend::new());
    match backend.probe() {
        Availability::Available(what) => {
            let reason = format!("{why}: {what}");
            Ok(Device { name: "cpu".into(), backend, what, reason })
        }
        Availability::Unavailable(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_cpu_and_says_why() {
        let device = open("auto").expect("always there");
        assert_eq!((device.name.as_str(), device.backend.name()), ("cpu", "cpu"));
        assert!(
            device.reason.contains("no CUDA backend") && device.reason.contains("kernels"),
            "{}",
            device.reason
        );
        assert_eq!(open("cpu").expect("always there").name, "cpu");
    }

    #[test]
    fn cuda_is_unavailable_and_says_why() {
        for name in ["cuda:0", "cuda:17"] {
            let error = open(name).err().expect("not in this build");
            assert_eq!(error.kind(), ErrorKind::DeviceUnavailable);
            assert!(
                error.message().contains(name) && error.message().contains("CUDA"),
                "{}",
                error.message()
            );
        }
    }

    #[test]
    fn other_names_are_refused_with_the_list_of_those_that_are_not() {
        for name in ["", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0", " cpu"] {
            let error = open(name).err().expect("no such device");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
            for accepted in ["auto", "cpu", "cuda:N"] {
                assert!(error.message().contains(accepted), "{}", error.message());
            }
        }
    }
}
