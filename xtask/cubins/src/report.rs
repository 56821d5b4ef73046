//! `kernels/cuda/report.md`: what is known of each kernel without a device.

use crate::Places;
use crate::gates::{self, Resources};
use crate::nvrtc::Nvrtc;
use crate::roofline::resnet50;
use crate::sass::{self, KINDS};
use crate::sources;
use crate::targets::Target;
use anyhow::{Result, ensure};
use libvision_kernels::cuda::modules::{EntryPoint, MODULES};
use std::fmt::Write;

/// What a multiprocessor holds: registers, threads, bytes of shared memory.
const DEVICES: [(u32, u32, u32, u32); 2] = [(80, 65_536, 2048, 164 << 10), (90, 65_536, 2048, 228 << 10)];

const INTRODUCTION: &str = "\
# What is known of the CUDA kernels without a device

Made by `cargo xtask cubins --report`; no figure here was measured on a GPU. Registers, stack and spills are the
compiler's, instructions are counted in the disassembly (static counts, not executed ones). Blocks are those that a
multiprocessor holds at once.

";

const LAYERS: &str = "
## The convolutions of ResNet-50 in half precision

Least times in microseconds on an H200 (4.3 TB/s, 790 TFLOP/s, both measured on one with large copies and products):
for the bytes, for the multiplications, and for the whole tiles of the busiest of 132 multiprocessors (or the bytes, if
they take longer). A device only adds to these; they are there to show a change for the worse.

| layer | kernel | blocks, 1 image | bytes | products | tiles | blocks, 32 images | bytes | products | tiles |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// Writes the report, or compares with the committed one.
pub(crate) fn make(places: &Places, check: bool) -> Result<()> {
    let text = report(places)?;
    print!("{text}");
    let path = places.kernels.join("cuda/report.md");
    if check {
        let same = std::fs::read_to_string(&path).is_ok_and(|committed| committed == text);
        ensure!(same, "kernels/cuda/report.md is stale: run `cargo xtask cubins --report` and commit");
    } else {
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn report(places: &Places) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    let nvrtc = Nvrtc::load(&places.toolchain)?;
    let sources = sources::read(&places.kernels)?;
    for (capability, registers, threads, shared) in DEVICES {
        let target = Target { capability, ptx: false };
        // Writing to a string cannot fail.
        let _ =
            write!(text, "## {}\n\n| kernel | registers | shared bytes | blocks | warps |", target.name());
        for (name, _) in KINDS {
            let _ = write!(text, " {name} |");
        }
        text.push_str(" all |\n| --- |");
        text.push_str(&" ---: |".repeat(KINDS.len() + 5));
        text.push('\n');
        for module in MODULES {
            let compiled = nvrtc.compile(&sources, module.name, target)?;
            let resources = gates::check(module, target, &compiled.log)?;
            let counts = sass::count(places, &compiled.image)?;
            for entry in module.entry_points {
                let Some(kernel) = resources.get(entry.name) else { continue };
                let blocks = blocks(entry, kernel, registers, threads, shared);
                let _ = write!(
                    text,
                    "| {} | {} | {} | {blocks} | {} |",
                    entry.name,
                    kernel.registers,
                    entry.shared_bytes,
                    blocks * entry.threads / 32
                );
                for count in counts.get(entry.name).into_iter().flatten() {
                    let _ = write!(text, " {count} |");
                }
                text.push('\n');
            }
        }
        text.push('\n');
    }
    text.push_str(LAYERS.trim_start());
    let mut totals = [[0.0; 3]; 2];
    for layer in resnet50()? {
        let mut row = String::new();
        let mut kernel = "";
        for (images, total) in [1, 32].into_iter().zip(&mut totals) {
            let times = layer.times(images)?;
            kernel = times.kernel;
            let values = [times.memory, times.products, times.tiles];
            total.iter_mut().zip(values).for_each(|(total, value)| *total += value);
            let _ =
                write!(row, " {} | {:.2} | {:.2} | {:.2} |", times.blocks, values[0], values[1], values[2]);
        }
        let _ = writeln!(text, "| {} | {kernel} |{row}", layer.name);
    }
    text.push_str("| all | |");
    for total in totals {
        let _ = write!(text, " | {:.1} | {:.1} | {:.1} |", total[0], total[1], total[2]);
    }
    text.push('\n');
    Ok(text)
}

/// Blocks that a multiprocessor holds at once. Registers are given to warps in steps of 256; each block takes a
/// KiB of shared memory for the system.
fn blocks(entry: &EntryPoint, kernel: &Resources, registers: u32, threads: u32, shared: u32) -> u32 {
    let warps = entry.threads / 32;
    let by_registers = registers / (warps * (kernel.registers * 32).next_multiple_of(256));
    let by_shared = shared / (entry.shared_bytes + 1024);
    by_registers.min(by_shared).min(threads / entry.threads).min(32)
}
