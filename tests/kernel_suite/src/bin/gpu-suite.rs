//! The kernel suite on a device.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use libvision_kernel_suite::cases::{CASES, groups};
use libvision_kernel_suite::gpu::Gpu;
use serde_json::json;
use std::process::ExitCode;
use std::time::Instant;

/// Runs every CUDA kernel of libvision on a device and compares with the CPU
#[derive(Parser)]
struct Arguments {
    /// The device: cuda:N
    #[arg(long, default_value = "cuda:0")]
    device: String,
    /// Only the cases of this group
    #[arg(long)]
    group: Option<String>,
    /// Print the groups and end
    #[arg(long)]
    list: bool,
    /// One JSON object per case
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let groups = groups();
    if arguments.list {
        groups.iter().for_each(|group| println!("{group}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(group) = &arguments.group {
        ensure!(groups.contains(&group.as_str()), "no group {group:?}; there are {}", groups.join(", "));
    }
    let ordinal = arguments.device.strip_prefix("cuda:").and_then(|number| number.parse().ok());
    let gpu = Gpu::open(ordinal.with_context(|| format!("expected cuda:N, found {:?}", arguments.device))?)?;
    eprintln!("{}", gpu.describe());
    let mut failed = 0;
    for case in CASES.iter().filter(|case| arguments.group.as_deref().is_none_or(|group| group == case.group))
    {
        let started = Instant::now();
        let error = (case.run)(&gpu).err().map(|error| format!("{error:#}"));
        let seconds = started.elapsed().as_secs_f64();
        failed += usize::from(error.is_some());
        if arguments.json {
            let line = json!({"name": case.name, "ok": error.is_none(), "error": error, "seconds": seconds});
            println!("{line}");
        } else {
            println!("{seconds:7.2} s  {}  {}", case.name, error.as_deref().unwrap_or("ok"));
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
