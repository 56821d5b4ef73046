//! Names of devices, and the backends that drive them.

use super::cpu::CpuBackend;
use super::{Availability, Backend};
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;

/// A device that can run here.
#[derive(Clone)]
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

/// The device of this name: `auto`, `cpu` or `cuda:N`. `auto` is `cuda:0` where that can run, else `cpu`.
///
/// Fails with `DEVICE_UNAVAILABLE` if it cannot run here, and with `INVALID_ARGUMENT` if nothing has this
/// name or the environment asks for kernels that this CPU cannot run.
pub fn open(device: &str) -> Result<Device> {
    match device {
        "auto" => cuda(0, "auto took cuda:0").or_else(|error| cpu_instead(&error)),
        "cpu" => cpu("cpu was asked for"),
        _ => match device.strip_prefix("cuda:").map(str::parse::<u32>) {
            Some(Ok(ordinal)) => cuda(ordinal, &format!("{device} was asked for"))
                .map_err(|error| error.context(format_args!("device {device:?}"))),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("device: expected \"auto\", \"cpu\" or \"cuda:N\" with a number N, found {device:?}"),
            )),
        },
    }
}

/// The CPU for somebody who asked for `auto`, because of what `error` says of the other devices.
pub(crate) fn cpu_instead(error: &Error) -> Result<Device> {
    cpu(&format!("auto took cpu, because {}", error.message()))
}

fn cpu(why: &str) -> Result<Device> {
    available("cpu".into(), Arc::new(CpuBackend::new()), why)
}

#[cfg(feature = "cuda")]
fn cuda(ordinal: u32, why: &str) -> Result<Device> {
    available(format!("cuda:{ordinal}"), Arc::new(super::cuda::CudaBackend::new(ordinal)), why)
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: u32, _: &str) -> Result<Device> {
    Err(Error::new(
        ErrorKind::DeviceUnavailable,
        "this build of libvision has no CUDA backend; build it with its feature `cuda`",
    ))
}

fn available(name: String, backend: Arc<dyn Backend>, why: &str) -> Result<Device> {
    match backend.probe() {
        Availability::Available(what) => {
            let reason = format!("{why}: {what}");
            Ok(Device { name, backend, what, reason })
        }
        Availability::Unavailable(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first device, and why there is none if there is none.
    fn first_device() -> std::result::Result<(), String> {
        cuda(0, "").map(drop).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn auto_takes_the_cpu_where_there_is_no_gpu_and_says_why() {
        let device = open("auto").expect("always there");
        match first_device() {
            Ok(()) => assert_eq!((device.name.as_str(), device.backend.name()), ("cuda:0", "cuda")),
            Err(why) => {
                assert_eq!((device.name.as_str(), device.backend.name()), ("cpu", "cpu"));
                assert!(
                    device.reason.contains(&why) && device.reason.contains("kernels"),
                    "{}",
                    device.reason
                );
            }
        }
        assert_eq!(open("cpu").expect("always there").name, "cpu");
    }

    #[test]
    fn a_cuda_device_that_cannot_run_is_an_error_that_says_why() {
        let absent = first_device().err().map(|why| ("cuda:0", why));
        for (name, why) in absent.into_iter().chain([("cuda:4294967295", String::new())]) {
            let error = open(name).err().expect("not here");
            assert_eq!(error.kind(), ErrorKind::DeviceUnavailable);
            assert!(error.message().contains(name) && error.message().contains(&why), "{error}");
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
