//! What is said where a driver is missing, old, incomplete or without a fitting device, each in a process of its own.
//! All but the first needs the software driver (`cargo xtask software-gpu`).
#![cfg(feature = "cuda")]

#[path = "cuda_networks/mod.rs"]
mod networks;

use libvision::backend::cuda::probe;
use networks::has_device;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the child from the tests.
const CHILD: &str = "LIBVISION_TEST_PROBE_CHILD";

#[test]
fn probe_child() {
    if std::env::var_os(CHILD).is_some() {
        match probe::device(0) {
            Ok(facts) => println!("FOUND {}", facts.name),
            Err(missing) => println!("FOUND {missing:?}: {missing}"),
        }
    }
}

/// What a child finds with these variables and the driver in this folder.
fn found(folder: &Path, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().expect("a path"));
    child.args(["--exact", "probe_child", "--nocapture"]).env(CHILD, "1").env("LD_LIBRARY_PATH", folder);
    let output = child.envs(variables.iter().copied()).output().expect("a child");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(|line| line.split("FOUND ").nth(1)).unwrap_or_default().to_owned()
}

/// The folder of the software driver, if the tests run on it.
fn software_driver() -> Option<PathBuf> {
    if std::env::var_os(CHILD).is_some() || !has_device() {
        return None;
    }
    let paths = std::env::var_os("LD_LIBRARY_PATH")?;
    std::env::split_paths(&paths).find(|folder| folder.join("libcuda.so.1").exists())
}

#[test]
fn what_does_not_fit_has_a_reason_of_its_own() {
    let Some(folder) = software_driver() else { return };
    for (name, value, reason) in [
        ("LIBVISION_SWCUDA_DEVICES", "0", "Devices"),
        ("LIBVISION_SWCUDA_DRIVER_VERSION", "11080", "OldDriver"),
        ("LIBVISION_SWCUDA_CAPABILITY", "70", "Capability"),
        ("LIBVISION_SWCUDA_FAIL_CALL", "2", "Driver"),
        ("LIBVISION_SWCUDA_DEVICES", "8", "Software"),
    ] {
        let found = found(&folder, &[(name, value)]);
        assert!(found.starts_with(reason), "{name}={value}: {found}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert!(found(empty.path(), &[]).starts_with("Library"));
}

#[test]
fn a_driver_without_one_function_is_refused_by_its_name() {
    let Some(folder) = software_driver() else { return };
    let sound = std::fs::read(folder.join("libcuda.so.1")).expect("the driver");
    let changed = tempfile::tempdir().expect("a folder");
    for function in probe::FUNCTIONS {
        // The name as it stands in the table of symbols, with zeros around it.
        let name = [b"\0", function.as_bytes(), b"\0"].concat();
        let mut library = sound.clone();
        let places: Vec<usize> =
            library.windows(name.len()).enumerate().filter(|(_, w)| *w == name).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{function}");
        places.into_iter().for_each(|at| library[at + 1] = b'x');
        for file in ["libcuda.so", "libcuda.so.1"] {
            std::fs::write(changed.path().join(file), &library).expect("room");
        }
        let found = found(changed.path(), &[]);
        assert!(found.starts_with("Function") && found.contains(function), "{function}: {found}");
    }
}

#[test]
fn only_listed_functions_are_called() {
    let Some(folder) = software_driver() else { return };
    let trace = tempfile::NamedTempFile::new().expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("a path"));
    let backend =
        child.args(["--exact", "a_life", "--nocapture"]).env(CHILD, "1").env("LD_LIBRARY_PATH", folder);
    assert!(backend.env("LIBVISION_SWCUDA_TRACE", trace.path()).status().expect("a child").success());
    let text = std::fs::read_to_string(trace.path()).expect("a trace");
    let calls = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.starts_with("cu"));
    let unlisted: Vec<&str> = calls.clone().filter(|call| !probe::FUNCTIONS.contains(call)).collect();
    assert!(calls.count() > 100 && unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn a_life() {
    use libvision::backend::{Backend, CompileOptions, cuda::CudaBackend};
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let graph = networks::every_operator();
    let executable = CudaBackend::new(0).compile(&graph, &CompileOptions::default()).expect("a device");
    let input = networks::noise(executable.inputs()[0].elements_per_image(), 1);
    let mut context = std::sync::Arc::clone(&executable).new_context().expect("memory");
    let mut none: Vec<&mut [f32]> = executable.outputs().iter().map(|_| &mut [][..]).collect();
    context.run_clocked(1, &[&input], &mut none).expect("a run");
    let mut times = vec![std::time::Duration::ZERO; executable.steps().len()];
    context.run_timed(1, &[&input], &mut none, &mut times).expect("a run");
}
