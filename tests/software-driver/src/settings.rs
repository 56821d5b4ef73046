//! What the environment asks of the driver; README.md lists the variables.

use crate::codes::{Code, ERROR_UNKNOWN};
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) devices: usize,
    /// Compute capability, as in 90 for 9.0.
    pub(crate) capability: u32,
    pub(crate) driver_version: i32,
    /// Bytes of each device.
    pub(crate) memory: u64,
    pub(crate) pinned_memory: u64,
    /// This call fails with `fail_code`; 0 for none.
    pub(crate) fail_call: u64,
    pub(crate) fail_code: Code,
    /// This copy, fill or kernel ends its context with `fail_code`; 0 for none.
    pub(crate) fault_operation: u64,
    /// This one never ends, or not before the file `release` exists.
    pub(crate) hang_operation: u64,
    pub(crate) release: Option<PathBuf>,
    /// This one leaves a wrong bit in what it wrote.
    pub(crate) corrupt_operation: u64,
    /// Reads of device memory that nobody has written are reported.
    pub(crate) unwritten: bool,
    pub(crate) strict: bool,
    pub(crate) reports: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) statistics: bool,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(format!("LIBVISION_SWCUDA_{name}"));
        let number = |name: &str, otherwise: u64| {
            let text = variable(name).and_then(|value| value.into_string().ok());
            match text.as_deref().map(str::parse) {
                None => otherwise,
                Some(Ok(value)) => value,
                Some(Err(_)) => {
                    eprintln!("SWCUDA SETTINGS: LIBVISION_SWCUDA_{name} is not a number and is ignored");
                    otherwise
                }
            }
        };
        Self {
            seed: number("SEED", 1),
            devices: number("DEVICES", 1) as usize,
            capability: number("CAPABILITY", 90) as u32,
            driver_version: number("DRIVER_VERSION", 12_000) as i32,
            memory: number("MEMORY", 8 << 30),
            pinned_memory: number("PINNED_MEMORY", 4 << 30),
            fail_call: number("FAIL_CALL", 0),
            fail_code: number("FAIL_CODE", ERROR_UNKNOWN as u64) as Code,
            fault_operation: number("FAULT_OPERATION", 0),
            hang_operation: number("HANG_OPERATION", 0),
            release: variable("RELEASE").map(PathBuf::from),
            corrupt_operation: number("CORRUPT_OPERATION", 0),
            unwritten: number("UNWRITTEN", 1) != 0,
            strict: number("STRICT", 0) != 0,
            reports: variable("REPORTS").map(PathBuf::from),
            trace: variable("TRACE").map(PathBuf::from),
            statistics: number("STATISTICS", 0) != 0,
        }
    }
}
