//! Allocating, freeing, copying, filling.

use crate::codes::*;
use crate::driver::{Driver, Needs, call, store};
use crate::lock::Guard;
use crate::memory::{Block, Place};
use crate::objects::Handle;
use crate::operation::{Access, Kind, Operation};
use crate::schedule::{run_until, synchronize_device};
use std::ffi::c_void;

impl Driver {
    fn allocate_device(&mut self, bytes: usize) -> Outcome<u64> {
        let device = self.device()?;
        let bytes = bytes as u64;
        if bytes == 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        if self.devices[device].used.saturating_add(bytes) > self.settings.memory {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let base = self.memory().allocate(Place::Device(device), device, bytes);
        self.devices[device].used += bytes;
        base.ok_or(ERROR_OUT_OF_MEMORY)
    }

    /// The block that begins at `base`, to free it.
    fn block_to_free(&mut self, base: u64, device: bool) -> Outcome<&Block> {
        let Driver { memory: Some(memory), reports, .. } = self else { return Err(ERROR_NOT_INITIALIZED) };
        let wanted = |block: &&Block| matches!(block.place, Place::Device(_)) == device;
        let Some(block) = memory.block(base).filter(wanted) else {
            reports.report("BAD FREE", &format!("{base:#x} is not the start of an allocation"));
            return Err(ERROR_INVALID_VALUE);
        };
        if block.freed {
            reports.report("BAD FREE", &format!("{} is freed twice", block.what));
            return Err(ERROR_INVALID_VALUE);
        }
        Ok(block)
    }

    /// Checks `[address, address + bytes)` and adds the access; false for pageable host memory.
    fn access(
        &mut self,
        what: &str,
        [address, bytes]: [u64; 2],
        [device, write]: [bool; 2],
        accesses: &mut Vec<Access>,
    ) -> Outcome<bool> {
        let context = self.device()?;
        let Driver { memory: Some(memory), reports, .. } = self else { return Err(ERROR_NOT_INITIALIZED) };
        let mut refuse = |text: String| {
            reports.report("BOUNDS", &format!("{what}: {text}"));
            Err(ERROR_INVALID_VALUE)
        };
        if memory.is_device(address) != device {
            let [found, wanted] = if device { ["host", "device"] } else { ["device", "host"] };
            return refuse(format!("{address:#x} is a {found} address where a {wanted} address belongs"));
        }
        if !device && !memory.is_pinned(address) {
            return Ok(false);
        }
        let to = address.saturating_add(bytes);
        match memory.nearest(address) {
            Some(block) if block.freed => refuse(format!("uses {}, which was freed", block.what)),
            Some(block) if !block.holds(address, to) => {
                refuse(format!("bytes {} to {} of {}", address - block.base, to - block.base, block.what))
            }
            Some(block) if device && block.place != Place::Device(context) => {
                refuse(format!("{} belongs to another device", block.what))
            }
            Some(block) => {
                if write && block.place == (Place::Pinned { write_combined: true }) {
                    let text = format!(
                        "{what}: results in {}, which is write-combined and slow to read",
                        block.what
                    );
                    reports.report("MISUSE", &text);
                }
                accesses.push(Access { base: block.base, from: address, to, write });
                Ok(true)
            }
            None => refuse(format!("{address:#x} belongs to no allocation")),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    call("cuMemGetInfo_v2", Needs::Context, |driver| {
        let device = driver.device()?;
        let memory = driver.settings.memory;
        // SAFETY: pointers for results.
        unsafe {
            store(free, memory.saturating_sub(driver.devices[device].used) as usize)?;
            store(total, memory as usize)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Code {
    call("cuMemAlloc_v2", Needs::NoCapture, |driver| {
        let base = driver.allocate_device(bytes)?;
        // SAFETY: a pointer for a result.
        unsafe { store(address, base) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemAllocAsync", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuMemAllocAsync")?;
        refuse_capture(driver, stream, "an allocation")?;
        if bytes == 0 {
            // SAFETY: a pointer for a result.
            return unsafe { store(address, 0) };
        }
        let base = driver.allocate_device(bytes)?;
        driver
            .submit(stream, Operation::new(format!("allocation of {bytes} bytes"), Kind::Mark, Vec::new()))?;
        // SAFETY: a pointer for a result.
        unsafe { store(address, base) }
    })
}

/// What a graph cannot hold here.
pub(super) fn refuse_capture(driver: &mut Guard, stream: usize, what: &str) -> Outcome<()> {
    let Some(capture) = driver.streams[stream].capture else { return Ok(()) };
    driver.captures[capture].broken = true;
    driver.reports.report("CAPTURE", &format!("{what} on a stream that is capturing"));
    Err(ERROR_STREAM_CAPTURE_UNSUPPORTED)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Code {
    call("cuMemFreeAsync", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuMemFreeAsync")?;
        if address == 0 {
            return Ok(());
        }
        refuse_capture(driver, stream, "a free")?;
        let block = driver.block_to_free(address, true)?;
        let access = Access { base: address, from: address, to: block.end(), write: true };
        let what = format!("free of {}", block.what);
        driver.submit(stream, Operation::new(what, Kind::Free { base: address }, vec![access]))?;
        Ok(())
    })
}

fn free_now(driver: &mut Guard, address: u64, device: bool) -> Outcome<()> {
    if address == 0 {
        return Ok(());
    }
    let block = driver.block_to_free(address, device)?;
    let (what, owner) = (block.what.clone(), block.device);
    let pending: Vec<String> = block.past.iter().map(|past| past.what.clone()).collect();
    for pending in pending {
        let text = format!("{what} is freed, and the host has not waited for [{pending}]");
        driver.reports.report("FREED IN USE", &text);
    }
    // Freeing waits for the device; an error was or will be seen by others.
    let _ = synchronize_device(driver, owner);
    driver.free(address);
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> Code {
    call("cuMemFree_v2", Needs::NoCapture, |driver| free_now(driver, address, true))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(address: *mut u64, bytes: usize, flags: u32) -> Code {
    call("cuMemHostAlloc", Needs::NoCapture, |driver| {
        let device = driver.device()?;
        let limit = driver.settings.pinned_memory;
        if bytes == 0 {
            return Err(ERROR_INVALID_VALUE);
        }
        if driver.memory().pinned_used.saturating_add(bytes as u64) > limit {
            return Err(ERROR_OUT_OF_MEMORY);
        }
        let place = Place::Pinned { write_combined: flags & 4 != 0 };
        let base = driver.memory().allocate(place, device, bytes as u64).ok_or(ERROR_OUT_OF_MEMORY)?;
        // SAFETY: a pointer for a result.
        unsafe { store(address, base) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(address: u64) -> Code {
    call("cuMemFreeHost", Needs::NoCapture, |driver| free_now(driver, address, false))
}

/// One end of a copy: an address, and whether it is the device's.
type End = (u64, bool);

fn copy(
    guard: &mut Guard,
    name: &str,
    ends: [End; 2],
    bytes: usize,
    stream: Handle,
    wait: bool,
) -> Outcome<()> {
    let [(to, to_device), (from, from_device)] = ends;
    let stream = guard.stream(stream, name)?;
    let bytes = bytes as u64;
    if bytes == 0 {
        return Ok(());
    }
    let what = format!("{name} of {bytes} bytes, call {}", guard.calls());
    let mut accesses = Vec::new();
    let known_source = guard.access(&what, [from, bytes], [from_device, false], &mut accesses)?;
    let known_target = guard.access(&what, [to, bytes], [to_device, true], &mut accesses)?;
    let pageable = !known_source || !known_target;
    if guard.streams[stream].capture.is_some() && pageable {
        guard.reports.report("CAPTURE", &format!("{what}: pageable memory in a graph"));
    }
    let staged = (!known_source && guard.streams[stream].capture.is_none()).then(|| {
        // SAFETY: the program says that `bytes` bytes can be read there until the call returns.
        unsafe { std::slice::from_raw_parts(from as *const u8, bytes as usize) }.to_vec()
    });
    let operation = Operation::new(what, Kind::Copy { to, from, bytes, staged }, accesses);
    let Some(number) = guard.submit(stream, operation)? else { return Ok(()) };
    if wait || !known_target {
        let clock = guard.streams[stream].clock.clone();
        run_until(guard, number);
        guard.host_learns(&clock);
        let device = guard.streams[stream].device;
        return guard.check_sticky(device);
    }
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Code {
    call("cuMemcpyHtoDAsync_v2", Needs::Context, |driver| {
        copy(driver, "copy to the device", [(to, true), (from as u64, false)], bytes, stream, false)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyDtoHAsync_v2", Needs::Context, |driver| {
        copy(driver, "copy to the host", [(to as u64, false), (from, true)], bytes, stream, false)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyDtoDAsync_v2", Needs::Context, |driver| {
        copy(driver, "copy on the device", [(to, true), (from, true)], bytes, stream, false)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Code {
    call("cuMemcpyHtoD_v2", Needs::NoCapture, |driver| {
        copy(driver, "copy to the device", [(to, true), (from as u64, false)], bytes, 0, true)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Code {
    call("cuMemcpyDtoH_v2", Needs::NoCapture, |driver| {
        copy(driver, "copy to the host", [(to as u64, false), (from, true)], bytes, 0, true)
    })
}

fn fill(driver: &mut Guard, to: u64, [value, width]: [u32; 2], count: usize, stream: Handle) -> Outcome<()> {
    let stream = driver.stream(stream, "a fill")?;
    let (width, count) = (u64::from(width), count as u64);
    let bytes = width.saturating_mul(count);
    if bytes == 0 {
        return Ok(());
    }
    let what = format!("fill of {bytes} bytes, call {}", driver.calls());
    let mut accesses = Vec::new();
    driver.access(&what, [to, bytes], [true, true], &mut accesses)?;
    driver.submit(stream, Operation::new(what, Kind::Fill { to, value, width, count }, accesses))?;
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) -> Code {
    call("cuMemsetD8Async", Needs::Context, |driver| fill(driver, to, [value.into(), 1], count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(to: u64, value: u32, count: usize, stream: Handle) -> Code {
    call("cuMemsetD32Async", Needs::Context, |driver| fill(driver, to, [value, 4], count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8_v2(to: u64, value: u8, count: usize) -> Code {
    call("cuMemsetD8_v2", Needs::NoCapture, |driver| fill(driver, to, [value.into(), 1], count, 0))
}
