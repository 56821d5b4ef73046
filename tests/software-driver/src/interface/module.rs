//! Modules, functions and launches.

use crate::codes::*;
use crate::driver::{Needs, call, store};
use crate::image::{argument_bytes, recognise};
use crate::kernel::Kernel;
use crate::lock::Guard;
use crate::memory::{Memory, Place};
use crate::objects::{Function, Handle, Object};
use crate::operands::{Operand, operands};
use crate::operation::{Access, Kind, Operation};
use libvision_kernels::cuda::launch::Launch;
use libvision_kernels::cuda::modules::{MODULES, entry_point};
use std::ffi::{CStr, c_char, c_void};

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`
const SHARED_ATTRIBUTE: i32 = 8;

/// Shared memory that a block may ask for at most.
pub(super) fn shared_limit(capability: u32) -> i32 {
    match capability {
        75 => 64 << 10,
        80 | 87 => 163 << 10,
        90..120 => 227 << 10,
        _ => 99 << 10,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> Code {
    call("cuModuleLoadData", Needs::Context, |driver| {
        let device = driver.device()?;
        if image.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        // SAFETY: the program passes an image, as the interface asks.
        let name = unsafe { recognise(image, driver.settings.capability) }.map_err(|(code, text)| {
            driver.reports.report("IMAGE", &text);
            code
        })?;
        let handle = driver.add(Object::Module(name), device, format!("module {name}"));
        // SAFETY: a pointer for a result.
        unsafe { store(module, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: Handle) -> Code {
    call("cuModuleUnload", Needs::Context, |driver| {
        if !matches!(driver.entry(module, "cuModuleUnload")?.object, Object::Module(_)) {
            return Err(ERROR_INVALID_HANDLE);
        }
        driver.remove_functions(module);
        driver.remove(module).map(drop).ok_or(ERROR_INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) -> Code {
    call("cuModuleGetFunction", Needs::Context, |driver| {
        let device = driver.device()?;
        let Object::Module(loaded) = driver.entry(module, "cuModuleGetFunction")?.object else {
            return Err(ERROR_INVALID_HANDLE);
        };
        if name.is_null() {
            return Err(ERROR_INVALID_VALUE);
        }
        // SAFETY: a string with an end, as the interface asks.
        let name = unsafe { CStr::from_ptr(name) }.to_str().map_err(|_| ERROR_NOT_FOUND)?;
        let listed =
            MODULES.iter().filter(|module| module.name == loaded).flat_map(|module| module.entry_points);
        let capability = driver.settings.capability;
        let exists =
            |name: &str| entry_point(name).is_some_and(|entry| !entry.needs_bf16 || capability >= 80);
        let entry =
            listed.into_iter().find(|entry| entry.name == name && exists(name)).ok_or(ERROR_NOT_FOUND)?;
        let object = Object::Function(Function { entry_point: entry.name, module, shared_limit: 48 << 10 });
        let handle = driver.add(object, device, format!("function {name}"));
        // SAFETY: a pointer for a result.
        unsafe { store(function, handle) }
    })
}

fn function<'g>(driver: &'g mut Guard, handle: Handle, call: &str) -> Outcome<&'g mut Function> {
    match &mut driver.entry(handle, call)?.object {
        Object::Function(function) => Ok(function),
        _ => Err(ERROR_INVALID_HANDLE),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(value: *mut i32, attribute: i32, handle: Handle) -> Code {
    call("cuFuncGetAttribute", Needs::Context, |driver| {
        let capability = driver.settings.capability as i32;
        let function = function(driver, handle, "cuFuncGetAttribute")?;
        let entry = entry_point(function.entry_point);
        let found = match attribute {
            0 => entry.map_or(0, |entry| entry.threads as i32),
            4 => entry.map_or(0, |entry| entry.max_registers as i32),
            5 | 6 => capability,
            SHARED_ATTRIBUTE => function.shared_limit,
            _ => 0,
        };
        // SAFETY: a pointer for a result.
        unsafe { store(value, found) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(handle: Handle, attribute: i32, value: i32) -> Code {
    call("cuFuncSetAttribute", Needs::Context, |driver| {
        let limit = shared_limit(driver.settings.capability);
        let function = function(driver, handle, "cuFuncSetAttribute")?;
        if attribute == SHARED_ATTRIBUTE {
            if !(0..=limit).contains(&value) {
                return Err(ERROR_INVALID_VALUE);
            }
            function.shared_limit = value;
        }
        Ok(())
    })
}

/// Grid and block, and dynamic shared memory.
struct Shape {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
}

unsafe fn launch(
    driver: &mut Guard,
    handle: Handle,
    shape: &Shape,
    stream: Handle,
    parameters: *const *const u8,
) -> Outcome<()> {
    let stream = driver.stream(stream, "cuLaunchKernel")?;
    let device = driver.device()?;
    let function = function(driver, handle, "cuLaunchKernel")?.clone();
    let name = function.entry_point;
    let (Some(entry), Some(bytes)) = (entry_point(name), argument_bytes().get(name)) else {
        return Err(ERROR_INVALID_HANDLE);
    };
    let mut refuse = |text: String| {
        driver.reports.report("LAUNCH", &format!("{name}: {text}"));
        Err(ERROR_INVALID_VALUE)
    };
    let [blocks, 1, 1] = shape.grid else {
        return refuse(format!("a grid of {:?}, all along x are meant", shape.grid));
    };
    if blocks == 0 || shape.block != [entry.threads, 1, 1] {
        return refuse(format!(
            "{blocks} blocks of {:?} threads, compiled for {}",
            shape.block, entry.threads
        ));
    }
    if shape.shared > function.shared_limit as u32 || shape.shared < entry.shared_bytes {
        let (needs, limit) = (entry.shared_bytes, function.shared_limit);
        return refuse(format!(
            "{} bytes of shared memory; it needs {needs}, allowed are {limit}",
            shape.shared
        ));
    }
    // SAFETY: one pointer per parameter, and the kernels have one.
    let block = if parameters.is_null() { std::ptr::null() } else { unsafe { *parameters } };
    if block.is_null() {
        return refuse("no argument block".to_owned());
    }
    // SAFETY: the parameter has the size that the kernel was compiled for.
    let arguments = unsafe { std::slice::from_raw_parts(block, *bytes) }.to_vec();
    let Some(operands) = operands(name, blocks, &arguments) else {
        return refuse("its operands are not known to the software driver".to_owned());
    };
    let what = format!("{name}, call {}", driver.calls());
    let memory = driver.memory();
    let mut accesses = Vec::new();
    let mut wrong = Vec::new();
    for operand in &operands {
        match access(memory, device, operand) {
            Ok(access) => accesses.push(access),
            Err(text) => wrong.push(text),
        }
    }
    // Everything that a table of pictures reaches lies beside it, in what is written of its allocation.
    let table = operands.iter().find(|operand| operand.name == "pictures");
    if let Some(block) = table.and_then(|table| memory.nearest(table.address)) {
        let written = accesses.iter().any(|access| access.write && access.base == block.base);
        if !written && !block.freed {
            let base = block.base;
            accesses.extend(block.written().map(|(from, to)| Access { base, from, to, write: false }));
        }
    }
    for text in wrong {
        driver.reports.report("BOUNDS", &format!("{what}: {text}"));
    }
    let launch =
        Launch { entry_point: name, blocks, threads: entry.threads, shared_bytes: shape.shared, arguments };
    driver
        .submit(stream, Operation::new(what, Kind::Kernel(Kernel { launch, operands, device }), accesses))?;
    Ok(())
}

fn access(memory: &Memory, device: usize, operand: &Operand) -> Result<Access, String> {
    let Operand { name, address, bytes, write } = *operand;
    let to = address.saturating_add(bytes);
    match memory.nearest(address) {
        Some(block) if block.freed => Err(format!("its {name} is in {}, which was freed", block.what)),
        Some(block) if block.holds(address, to) && block.place == Place::Device(device) => {
            Ok(Access { base: block.base, from: address, to, write })
        }
        Some(block) => {
            Err(format!("its {name} is {bytes} bytes at byte {} of {}", address - block.base, block.what))
        }
        None => Err(format!("its {name} is at {address:#x}, which is no device memory")),
    }
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the driver's interface")]
unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    parameters: *const *const u8,
    extra: *const c_void,
) -> Code {
    call("cuLaunchKernel", Needs::Context, |driver| {
        if !extra.is_null() {
            return Err(ERROR_NOT_SUPPORTED);
        }
        let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z], shared };
        // SAFETY: the program's parameters, handed through.
        unsafe { launch(driver, function, &shape, stream, parameters) }
    })
}
