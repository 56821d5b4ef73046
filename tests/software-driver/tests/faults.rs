//! Failures on request: calls, operations, memory, devices, hangs, wrong bits, missing symbols.

mod support;

use anyhow::{Context, Result, bail, ensure};
use cudarc::driver::{result, sys};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use support::session::Session;
use support::{finish, installed, installed_without, run, scenario, start};

/// Codes of every kind: of arguments, memory, devices, images, launches, and sticky ones.
const CODES: [i32; 12] = [1, 2, 46, 100, 201, 209, 214, 400, 700, 702, 719, 999];

fn play(scenario: &str) -> Result<()> {
    match scenario {
        "once" => {
            let s = Session::open()?;
            s.once(1.0, 2.0)?;
            s.close()
        }
        "graph" => {
            let s = Session::open()?;
            s.set(0, 1.0);
            s.set(1, 2.0);
            let graph = s.capture(Session::queue_all)?;
            s.launch_graph(graph, 0)?;
            s.synchronize(0)?;
            ensure!(s.sums(1.0, 2.0), "wrong sums");
            s.destroy_graph(graph)?;
            s.close()
        }
        "twice" => {
            let s = Session::open()?;
            ensure!(s.once(1.0, 2.0).is_err(), "nothing failed");
            ensure!(s.upload(0, 0).is_err(), "the error is forgotten");
            // Frees and destroys fail as well; releasing the context is what ends the error.
            let _ = s.close();
            let _ = s.release();
            play("once")
        }
        "query" => {
            let s = Session::open()?;
            s.set(0, 1.0);
            s.set(1, 2.0);
            s.queue_all()?;
            for _ in 0..50 {
                // SAFETY: a live stream.
                let code = unsafe { sys::cuStreamQuery(s.streams[0]) };
                ensure!(code == sys::CUresult::CUDA_ERROR_NOT_READY, "{code:?}");
            }
            s.synchronize(0)?;
            s.close()
        }
        "devices" => {
            result::init()?;
            ensure!(result::device::get_count()? == 8, "not 8");
            ensure!(result::device::get(8).is_err(), "a ninth device");
            // SAFETY: devices that exist, contexts that are retained, memory that is freed once.
            unsafe {
                let devices = [result::device::get(3)?, result::device::get(7)?];
                let contexts =
                    [result::primary_ctx::retain(devices[0])?, result::primary_ctx::retain(devices[1])?];
                result::ctx::set_current(contexts[1])?;
                let memory = result::malloc_sync(64)?;
                result::ctx::set_current(contexts[0])?;
                let foreign = result::memset_d8_sync(memory, 0, 64);
                result::ctx::set_current(contexts[1])?;
                result::memset_d8_sync(memory, 0, 64)?;
                result::free_sync(memory)?;
                ensure!(foreign.is_err(), "memory of another device");
                for device in devices {
                    result::primary_ctx::release(device)?;
                }
            }
            Ok(())
        }
        "version" => {
            let mut version = 0;
            // SAFETY: a pointer for the result.
            unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
            ensure!(version == 11_040, "{version}");
            Ok(())
        }
        "unknown image" => {
            let s = Session::open()?;
            // SAFETY: text that ends.
            let loaded = unsafe { result::module::load_data(c".version 7.8".as_ptr().cast()) };
            ensure!(loaded == Err(result::DriverError(sys::CUresult::CUDA_ERROR_INVALID_PTX)), "{loaded:?}");
            s.close()
        }
        other => bail!("no scenario {other}"),
    }
}

/// Started by the tests below; does nothing among them.
#[test]
fn program() -> Result<()> {
    scenario().map_or(Ok(()), |scenario| play(&scenario))
}

fn set(name: &'static str, value: impl ToString) -> (&'static str, String) {
    (name, value.to_string())
}

/// What a program counts: its calls, or its copies, fills and kernels.
fn count(driver: &Path, scenario: &str, what: &str) -> Result<u64> {
    let (status, text) = run(driver, scenario, &[set("STATISTICS", 1)])?;
    ensure!(status == Some(0), "{text}");
    let line =
        text.lines().find_map(|line| line.strip_prefix("SWCUDA STATISTICS: ")).context("statistics")?;
    let part = line.split(", ").find_map(|part| part.strip_suffix(what)).context("a count")?;
    Ok(part.trim().parse()?)
}

#[test]
fn every_call_can_fail_with_every_code() -> Result<()> {
    let driver = installed()?;
    for k in 1..=count(driver.path(), "graph", " calls")? {
        for code in CODES {
            let settings = [set("FAIL_CALL", k), set("FAIL_CODE", code), set("STRICT", 0)];
            let (status, text) = run(driver.path(), "graph", &settings)?;
            ensure!(text.contains("SWCUDA INJECTED"), "call {k}, code {code}: nothing happened\n{text}");
            ensure!(status == Some(101), "call {k}, code {code}: ended with {status:?}\n{text}");
            ensure!(
                !text.contains("panicked") && !text.contains("INTERNAL"),
                "call {k}, code {code}:\n{text}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_operation_can_fault_and_a_new_context_is_healthy() -> Result<()> {
    let driver = installed()?;
    for operation in 1..=4 {
        for code in [700, 719] {
            let settings = [set("FAULT_OPERATION", operation), set("FAIL_CODE", code), set("STRICT", 0)];
            let (status, text) = run(driver.path(), "once", &settings)?;
            ensure!(
                status == Some(101) && text.contains("INJECTED"),
                "{operation}, {code}: {status:?}\n{text}"
            );
            let (status, text) = run(driver.path(), "twice", &settings)?;
            ensure!(status == Some(0), "{operation}, {code}: {status:?}\n{text}");
        }
    }
    Ok(())
}

#[test]
fn memory_ends_where_it_was_told_to() -> Result<()> {
    let driver = installed()?;
    for (setting, fits, short) in [("MEMORY", 24_576, 24_575), ("PINNED_MEMORY", 24_576, 24_575)] {
        let (status, text) = run(driver.path(), "once", &[set(setting, fits)])?;
        ensure!(status == Some(0), "{setting}: {text}");
        let (_, text) = run(driver.path(), "once", &[set(setting, short), set("STRICT", 0)])?;
        ensure!(text.contains("CUDA_ERROR_OUT_OF_MEMORY"), "{setting}: {text}");
    }
    Ok(())
}

#[test]
fn devices_versions_and_images() -> Result<()> {
    let driver = installed()?;
    let (status, text) = run(driver.path(), "devices", &[set("DEVICES", 8), set("STRICT", 0)])?;
    ensure!(status == Some(0) && text.contains("belongs to another device"), "{status:?} {text}");
    let (_, text) = run(driver.path(), "once", &[set("DEVICES", 0)])?;
    ensure!(text.contains("CUDA_ERROR_NO_DEVICE"), "{text}");
    let (status, text) = run(driver.path(), "version", &[set("DRIVER_VERSION", 11_040)])?;
    ensure!(status == Some(0), "{text}");
    let (_, text) = run(driver.path(), "once", &[set("CAPABILITY", 80), set("STRICT", 0)])?;
    ensure!(text.contains("CUDA_ERROR_NO_BINARY_FOR_GPU"), "{text}");
    let (status, text) = run(driver.path(), "unknown image", &[])?;
    ensure!(status == Some(86) && text.contains("SWCUDA IMAGE: an image with SHA-256"), "{status:?} {text}");
    Ok(())
}

#[test]
fn what_hangs_goes_on_when_told() -> Result<()> {
    let driver = installed()?;
    for scenario in ["once", "graph", "query"] {
        for operation in 1..=count(driver.path(), "graph", " copies")?.min(4) {
            let release = support::fresh(driver.path(), &format!("{scenario}-{operation}"));
            let settings = [set("HANG_OPERATION", operation), set("RELEASE", release.display())];
            let mut child = start(driver.path(), scenario, &settings)?;
            let mut errors = BufReader::new(child.stderr.take().context("its errors")?);
            let mut line = String::new();
            while !line.contains(" hangs") {
                line.clear();
                ensure!(errors.read_line(&mut line)? > 0, "{scenario}: it ended without hanging");
            }
            ensure!(child.try_wait()?.is_none(), "{scenario}: it ended in spite of what hangs");
            std::fs::write(&release, "")?;
            let status = finish(child)?.status;
            let mut rest = String::new();
            errors.read_to_string(&mut rest)?;
            ensure!(status.success(), "{scenario}, operation {operation}: {status}\n{rest}");
        }
    }
    Ok(())
}

#[test]
fn a_wrong_bit_reaches_the_result() -> Result<()> {
    let driver = installed()?;
    for operation in 1..=4 {
        let (_, text) = run(driver.path(), "once", &[set("CORRUPT_OPERATION", operation), set("STRICT", 0)])?;
        ensure!(text.contains("wrong sums"), "operation {operation}: {text}");
    }
    Ok(())
}

#[test]
fn a_hidden_symbol_is_missed_by_those_who_need_it() -> Result<()> {
    let driver = installed_without(Some("cuGraphLaunch"))?;
    let (status, text) = run(driver.path(), "once", &[])?;
    ensure!(status == Some(0), "{text}");
    let (status, text) = run(driver.path(), "graph", &[set("STRICT", 0)])?;
    ensure!(status != Some(0) && text.contains("cuGraphLaunch"), "{status:?} {text}");
    Ok(())
}
