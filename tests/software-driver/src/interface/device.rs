//! Start, devices, contexts, names of errors.

use crate::codes::*;
use crate::driver::{Driver, Needs, call, store};
use crate::objects::Handle;
use crate::schedule::synchronize_device;
use std::ffi::{CStr, c_char, c_void};

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: u32) -> Code {
    call("cuInit", Needs::Nothing, |driver| {
        if flags != 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        driver.initialize()
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut i32) -> Code {
    call("cuDriverGetVersion", Needs::Nothing, |driver| {
        // SAFETY: a pointer for a result.
        unsafe { store(version, driver.settings.driver_version) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut i32) -> Code {
    call("cuDeviceGetCount", Needs::Driver, |driver| {
        // SAFETY: a pointer for a result.
        unsafe { store(count, driver.devices.len() as i32) }
    })
}

fn index(driver: &Driver, device: i32) -> Outcome<usize> {
    usize::try_from(device).ok().filter(|device| *device < driver.devices.len()).ok_or(ERROR_INVALID_DEVICE)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> Code {
    call("cuDeviceGet", Needs::Driver, |driver| {
        let found = index(driver, ordinal)?;
        // SAFETY: a pointer for a result.
        unsafe { store(device, found as i32) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: i32, device: i32) -> Code {
    call("cuDeviceGetName", Needs::Driver, |driver| {
        index(driver, device)?;
        let text = format!("Software device of compute capability {}", driver.settings.capability);
        let room = usize::try_from(length).unwrap_or(0);
        if room == 0 || name.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        let shown = text.len().min(room - 1);
        // SAFETY: `name` has room for `length` characters, the last of which is the end.
        unsafe {
            name.copy_from_nonoverlapping(text.as_ptr().cast(), shown);
            name.add(shown).write(0);
        }
        Ok(())
    })
}

unsafe fn uuid(name: &str, uuid: *mut [u8; 16], device: i32) -> Code {
    call(name, Needs::Driver, |driver| {
        let device = index(driver, device)? as u8;
        let mut bytes = *b"software-device-";
        bytes[15] = device;
        // SAFETY: a pointer for a result.
        unsafe { store(uuid, bytes) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid(target: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { uuid("cuDeviceGetUuid", target, device) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(target: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { uuid("cuDeviceGetUuid_v2", target, device) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: i32) -> Code {
    call("cuDeviceTotalMem_v2", Needs::Driver, |driver| {
        index(driver, device)?;
        // SAFETY: a pointer for a result.
        unsafe { store(bytes, driver.settings.memory as usize) }
    })
}

/// The values of an H100, or of an A100 below 9.0, by the numbers of `CUdevice_attribute`.
fn attribute(capability: u32, number: i32) -> i32 {
    let hopper = capability >= 90;
    match number {
        1..=3 => 1024,
        4 => 64,
        5 => i32::MAX,
        6 | 7 => 65_535,
        8 => 48 << 10,
        10 => 32,
        12 | 82 => 65_536,
        13 => 1_980_000,
        16 => {
            if hopper {
                132
            } else {
                108
            }
        }
        31 | 41 | 95 | 115 => 1,
        36 => 2_619_000,
        37 => 5120,
        38 => {
            if hopper {
                50 << 20
            } else {
                40 << 20
            }
        }
        39 => 2048,
        40 => 3,
        75 => (capability / 10) as i32,
        76 => (capability % 10) as i32,
        81 => {
            if hopper {
                228 << 10
            } else {
                164 << 10
            }
        }
        97 => super::module::shared_limit(capability),
        106 => 32,
        111 => 1024,
        _ => 0,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: *mut i32, number: i32, device: i32) -> Code {
    call("cuDeviceGetAttribute", Needs::Driver, |driver| {
        index(driver, device)?;
        // SAFETY: a pointer for a result.
        unsafe { store(value, attribute(driver.settings.capability, number)) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut *mut c_void, device: i32) -> Code {
    call("cuDeviceGetDefaultMemPool", Needs::Driver, |driver| {
        let device = index(driver, device)?;
        // SAFETY: a pointer for a result.
        unsafe { store(pool, Driver::context_of(device) as *mut c_void) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: i32) -> Code {
    call("cuDevicePrimaryCtxRetain", Needs::Driver, |driver| {
        let device = index(driver, device)?;
        driver.devices[device].references += 1;
        // SAFETY: a pointer for a result.
        unsafe { store(context, Driver::context_of(device)) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> Code {
    call("cuDevicePrimaryCtxRelease_v2", Needs::Driver, |driver| {
        let device = index(driver, device)?;
        match driver.devices[device].references {
            0 => return Err(ERROR_INVALID_CONTEXT),
            1 => {}
            _ => {
                driver.devices[device].references -= 1;
                return Ok(());
            }
        }
        if driver.hung.is_none() {
            // Its error ends with the context.
            let _ = synchronize_device(driver, device);
        }
        driver.report_leaks(device, "the context is released");
        driver.devices[device].references = 0;
        driver.forget(device);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Code {
    call("cuCtxGetCurrent", Needs::Driver, |_| {
        // SAFETY: a pointer for a result.
        unsafe { store(context, Driver::current_context()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> Code {
    call("cuCtxSetCurrent", Needs::Driver, |driver| driver.set_context(context))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetDevice(device: *mut i32) -> Code {
    call("cuCtxGetDevice", Needs::Driver, |driver| {
        let current = driver.device()?;
        // SAFETY: a pointer for a result.
        unsafe { store(device, current as i32) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Code {
    call("cuCtxSynchronize", Needs::NoCapture, |driver| {
        let device = driver.device()?;
        synchronize_device(driver, device)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) -> Code {
    call("cuCtxGetStreamPriorityRange", Needs::Context, |_| {
        // SAFETY: pointers for results.
        unsafe {
            store(least, 0)?;
            store(greatest, -5)
        }
    })
}

unsafe fn describe_to(code: Code, which: usize, target: *mut *const c_char) -> Code {
    let found = describe(code).map(|texts| texts[which]);
    // SAFETY: a pointer for a result.
    let stored = unsafe { store(target, found.map_or(std::ptr::null(), CStr::as_ptr)) };
    match (stored, found) {
        (Ok(()), Some(_)) => SUCCESS,
        _ => ERROR_INVALID_VALUE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(code: Code, name: *mut *const c_char) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { describe_to(code, 0, name) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(code: Code, text: *mut *const c_char) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { describe_to(code, 1, text) }
}
