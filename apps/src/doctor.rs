//! `vision doctor`: what of this machine libvision can use, one line per finding, with the fix where one is needed.

use crate::EXIT_PARTIAL;
use crate::arguments::DoctorArguments;
use libvision::backend::cuda::device::Device;
use libvision::backend::cuda::device_pool::Ledger;
use libvision::backend::cuda::pinned_pool::{Direction, PinnedPool};
use libvision::backend::cuda::{Missing, probe};
use libvision::backend::{CompileOptions, cpu, registry};
use libvision::measure::Runner;
use libvision::{Error, Model};
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Page-locked memory that is taken to see whether it can be.
const PINNED_TRIAL: usize = 64 << 20;
/// Largest difference from the CPU that half precision explains, as a part of the largest value.
const TOLERANCE: f32 = 1e-2;

/// What there is to say about one thing.
struct Finding {
    what: String,
    verdict: Verdict,
    text: String,
    fix: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Ok,
    /// Not as good as it could be; everything works.
    Note,
    /// What was asked for does not work.
    Problem,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "problem",
        }
    }
}

impl Finding {
    fn ok(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok, text: text.into(), fix: None }
    }

    fn bad(
        what: impl Into<String>,
        verdict: Verdict,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), verdict, text: text.into(), fix: Some(fix.into()) }
    }

    fn error(what: impl Into<String>, error: &Error) -> Self {
        Self::bad(what, Verdict::Problem, error.message(), error.kind().hint())
    }
}

/// Looks at everything, prints it, and exits with 1 if something that was asked for does not work.
pub fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let wants_cuda = arguments.device.starts_with("cuda");
    let mut findings = vec![processor(), threads()];
    let devices = cuda(wants_cuda, &mut findings);
    if let Err(error) = registry::open(&arguments.device) {
        findings.push(Finding::error(format!("device {}", arguments.device), &error));
    }
    if let Some(model) = &arguments.model {
        findings.extend(check_model(model, &arguments.device, &devices));
    }
    print(&findings, arguments.json)?;
    let is_well = findings.iter().all(|finding| finding.verdict != Verdict::Problem);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_PARTIAL) })
}

fn print(findings: &[Finding], as_json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for Finding { what, verdict, text, fix } in findings {
        if as_json {
            let line = json!({ "check": what, "verdict": verdict.word(), "finding": text, "fix": fix });
            writeln!(out, "{line}")?;
        } else {
            let fix = fix.as_ref().map_or(String::new(), |fix| format!("; to fix: {fix}"));
            writeln!(out, "{:<8} {what}: {text}{fix}", verdict.word())?;
        }
    }
    Ok(())
}

fn processor() -> Finding {
    let name = cpu::processor_name();
    match registry::open("cpu") {
        Ok(device) if device.what.contains("portable") => Finding::bad(
            "cpu",
            Verdict::Note,
            format!("{name}: {}", device.what),
            "use a CPU with AVX2 and FMA, or unset LIBVISION_CPU_ISA; the portable kernels are several times slower",
        ),
        Ok(device) => Finding::ok("cpu", format!("{name}: {}", device.what)),
        Err(error) => Finding::error("cpu", &error),
    }
}

/// CPUs that this process may use, and how many threads it may start.
fn threads() -> Finding {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let limits = [limit("Max processes"), first_number("/sys/fs/cgroup/pids.max")];
    let most = limits.into_iter().flatten().min();
    // Decoders, workers and the compute pool of a few engines.
    let needed = 8 * cpus as u64 + 32;
    match most {
        Some(most) if most < needed => Finding::bad(
            "threads",
            Verdict::Note,
            format!("{cpus} CPUs, at most {most} threads"),
            format!("allow at least {needed} (`ulimit -u`, or the container's limit on processes)"),
        ),
        _ => Finding::ok(
            "threads",
            format!(
                "{cpus} CPUs, {} threads",
                most.map_or("any number of".into(), |most| format!("at most {most}"))
            ),
        ),
    }
}

/// The driver and its devices; those that can be used.
fn cuda(wanted: bool, findings: &mut Vec<Finding>) -> Vec<u32> {
    let missing = |missing: &Missing| {
        let verdict = if wanted { Verdict::Problem } else { Verdict::Note };
        Finding::bad("cuda", verdict, missing.to_string(), missing.fix())
    };
    let driver = match probe::driver() {
        Ok(driver) => driver,
        Err(error) => {
            findings.push(missing(&error));
            return Vec::new();
        }
    };
    findings.push(Finding::ok(
        "cuda driver",
        format!("speaks CUDA {}, sees {} devices", driver.version(), driver.devices),
    ));
    if driver.devices == 0 {
        findings.push(missing(&Missing::Devices));
    }
    let mut usable = Vec::new();
    for ordinal in 0..driver.devices {
        match probe::device(ordinal) {
            Ok(facts) => {
                findings.push(Finding::ok(format!("cuda:{ordinal}"), facts.describe()));
                findings.extend(memory(ordinal));
                usable.push(ordinal);
            }
            Err(error) => findings.push(missing(&error)),
        }
    }
    usable
}

/// Free memory of a device, and page-locked memory for copies to and from it.
fn memory(ordinal: u32) -> Vec<Finding> {
    let what = format!("cuda:{ordinal} memory");
    let device = match Device::open(ordinal, Ledger::new(None)) {
        Ok(device) => device,
        Err(error) => return vec![Finding::error(what, &error)],
    };
    let free = match device.memory() {
        Ok((free, all)) if free < all / 10 => Finding::bad(
            what,
            Verdict::Note,
            format!("{} of {} MiB free", free >> 20, all >> 20),
            "`nvidia-smi` shows who has the rest",
        ),
        Ok((free, all)) => Finding::ok(what, format!("{} of {} MiB free", free >> 20, all >> 20)),
        Err(error) => Finding::error(what, &error),
    };
    let what = format!("cuda:{ordinal} page-locked memory");
    let locked =
        limit("Max locked memory").map_or(String::new(), |bytes| format!(", limit {} MiB", bytes >> 20));
    let trial = [Direction::Upload, Direction::Download]
        .into_iter()
        .try_for_each(|direction| PinnedPool::new(&device, direction, &[PINNED_TRIAL]).map(drop));
    let pinned = match trial {
        Ok(()) => Finding::ok(what, format!("{} MiB each way could be had{locked}", PINNED_TRIAL >> 20)),
        Err(error) => Finding::bad(
            what,
            Verdict::Problem,
            error.message(),
            "raise `ulimit -l` and the container's memory limit",
        ),
    };
    vec![free, pinned]
}

/// Runs the model once on the device, and compares with the CPU.
fn check_model(path: &Path, device: &str, devices: &[u32]) -> Vec<Finding> {
    let model = match Model::load(path) {
        Ok(model) => model,
        Err(error) => return vec![Finding::error("model", &error)],
    };
    let names: Vec<String> = match device {
        "auto" => std::iter::once("cpu".into()).chain(devices.iter().map(|n| format!("cuda:{n}"))).collect(),
        device => vec![device.to_owned()],
    };
    let expected = match outputs(&model, "cpu") {
        Ok(expected) => expected,
        Err(error) => return vec![Finding::error("model on cpu", &error)],
    };
    let compare = |name: &String| {
        let what = format!("model on {name}");
        match outputs(&model, name) {
            Ok(found) => compared(what, &expected, &found),
            Err(error) => Finding::error(what, &error),
        }
    };
    names.iter().map(compare).collect()
}

/// Outputs for one seeded image.
fn outputs(model: &Model, device: &str) -> libvision::Result<Vec<Vec<f32>>> {
    let mut runner = Runner::new(model, &*registry::open(device)?.backend, &CompileOptions::default())?;
    runner.run()?;
    Ok(runner.outputs().to_vec())
}

fn compared(what: String, expected: &[Vec<f32>], found: &[Vec<f32>]) -> Finding {
    let largest = |values: &mut dyn Iterator<Item = f32>| {
        values.fold(0.0_f32, |a, b| if b.is_nan() { b } else { a.max(b) })
    };
    let pairs = || expected.iter().flatten().zip(found.iter().flatten());
    let scale = largest(&mut pairs().map(|(a, _)| a.abs()));
    let difference = largest(&mut pairs().map(|(a, b)| (a - b).abs()));
    if difference <= TOLERANCE * scale {
        return Finding::ok(
            what,
            format!("runs; within {difference:.1e} of the CPU, of values up to {scale:.1e}"),
        );
    }
    Finding::bad(
        what,
        Verdict::Problem,
        format!("runs, and is {difference:.1e} off the CPU, of values up to {scale:.1e}"),
        "run the model in f32, and report this with the model if it still differs",
    )
}

/// A soft limit of this process, if it has one.
fn limit(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn first_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
