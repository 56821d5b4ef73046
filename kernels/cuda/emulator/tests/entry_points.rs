//! The list of modules, the compiled kernels and the shared argument blocks agree.

use anyhow::{Context, Result};
use libvision_cuda_emulator::Emulator;
use libvision_kernels::cuda::modules::MODULES;
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_list_names_what_the_sources_define() -> Result<()> {
    let compiled: BTreeMap<String, u32> =
        Emulator::shared().entry_points().into_iter().map(|(name, threads, _)| (name, threads)).collect();
    let listed: BTreeMap<String, u32> = MODULES
        .iter()
        .flat_map(|module| module.entry_points)
        .map(|entry| (entry.name.to_owned(), entry.threads))
        .collect();
    assert_eq!(listed, compiled);
    assert_eq!(
        listed.len(),
        MODULES.iter().map(|module| module.entry_points.len()).sum::<usize>(),
        "names repeat"
    );
    Ok(())
}

#[test]
fn every_source_is_a_module() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the kernels' folder")?;
    let mut sources: Vec<String> = Vec::new();
    for entry in folder.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        sources.extend(name.strip_suffix(".cu").map(str::to_owned));
    }
    sources.sort();
    let mut modules: Vec<&str> = MODULES.iter().map(|module| module.name).collect();
    modules.sort_unstable();
    assert_eq!(sources, modules);
    Ok(())
}

#[test]
fn the_shared_header_is_up_to_date() -> Result<()> {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../arguments.cuh");
    let committed = std::fs::read_to_string(&header)?;
    assert_eq!(committed, libvision_kernels::cuda::arguments::header(), "run `cargo xtask cubins`");
    Ok(())
}
