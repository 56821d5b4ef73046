//! Kernels: what a launch was given, and running it in the emulator.

use crate::codes::{Code, ERROR_ILLEGAL_ADDRESS, ERROR_LAUNCH_FAILED, ERROR_MISALIGNED_ADDRESS};
use crate::memory::{Memory, Place};
use crate::operands::{Operand, picture_operands};
use libvision_cuda_emulator::{Access, Emulator};
use libvision_kernels::cuda::launch::Launch;

#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) launch: Launch,
    pub(crate) operands: Vec<Operand>,
    pub(crate) device: usize,
}

/// Runs the kernel to its end; the error is a code and what it did.
pub(crate) fn run(kernel: &Kernel, memory: &Memory, seed: u64) -> Result<(), (Code, String)> {
    let illegal = |text: String| (ERROR_ILLEGAL_ADDRESS, text);
    let mut operands = kernel.operands.clone();
    if let Some(table) = operands.iter().find(|operand| operand.name == "pictures").copied() {
        let view = view(memory, kernel.device, &table).map_err(illegal)?;
        // SAFETY: the view has that many bytes, and nothing writes them before this function does.
        let table = unsafe { std::slice::from_raw_parts(view, table.bytes as usize) };
        for operand in picture_operands(table) {
            let (from, to) = (operand.address, operand.address.saturating_add(operand.bytes));
            if memory.nearest(from).is_some_and(|block| !block.is_written(from, to)) {
                return Err(illegal(format!(
                    "its {} are {} bytes, not all written",
                    operand.name, operand.bytes
                )));
            }
            operands.push(operand);
        }
    }
    for (index, output) in operands.iter().enumerate().filter(|(_, operand)| operand.write) {
        let overlaps = |other: &Operand| {
            other.address < output.address + output.bytes && output.address < other.address + other.bytes
        };
        let other = operands.iter().enumerate().find(|(other, operand)| *other != index && overlaps(operand));
        if let Some((_, other)) = other {
            return Err(illegal(format!("its {} and its {} overlap", output.name, other.name)));
        }
    }
    let mut accesses = Vec::with_capacity(operands.len());
    for operand in &operands {
        let view = view(memory, kernel.device, operand).map_err(illegal)?;
        let (address, bytes) = (operand.address, operand.bytes as usize);
        accesses.push(if operand.write {
            // SAFETY: the range lies in a live block, touched under the driver's lock only, and no other
            // operand overlaps it.
            Access::WriteAt { address, bytes: unsafe { std::slice::from_raw_parts_mut(view, bytes) } }
        } else {
            // SAFETY: the same; overlapping operands are all read only.
            Access::ReadAt { address, bytes: unsafe { std::slice::from_raw_parts(view, bytes) } }
        });
    }
    let emulated = Emulator::shared().launch(&kernel.launch, &mut accesses, seed);
    emulated.map(drop).map_err(|error| {
        let text = error.to_string();
        let memory = ["of buffer", "belongs to no buffer", "read only", "that it writes"];
        let code = if text.contains("not a multiple") {
            ERROR_MISALIGNED_ADDRESS
        } else if memory.iter().any(|words| text.contains(words)) {
            ERROR_ILLEGAL_ADDRESS
        } else {
            ERROR_LAUNCH_FAILED
        };
        (code, text)
    })
}

/// Where an operand's bytes are.
fn view(memory: &Memory, device: usize, operand: &Operand) -> Result<*mut u8, String> {
    let (from, to) = (operand.address, operand.address.saturating_add(operand.bytes));
    match memory.nearest(from) {
        Some(block) if !block.freed && block.holds(from, to) && block.place == Place::Device(device) => {
            Ok(block.view(from, to))
        }
        Some(block) => Err(format!(
            "its {} is {} bytes at byte {} of {}{}",
            operand.name,
            operand.bytes,
            from - block.base,
            block.what,
            if block.freed { ", which was freed" } else { "" }
        )),
        None => Err(format!("its {} is at {from:#x}, which is no device memory", operand.name)),
    }
}
