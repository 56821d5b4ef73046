//! What the compiler's log says of each kernel, and the limits that it must keep.

use crate::targets::Target;
use anyhow::{Context, Result, ensure};
use libvision_kernels::cuda::modules::Module;
use std::collections::BTreeMap;

/// Registers for the copies under way, where they cannot be asynchronous.
const COPY_REGISTERS: u32 = 16;

/// Resources of one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) registers: u32,
    pub(crate) stack: u32,
    pub(crate) spills: u32,
}

/// Reads the log of `ptxas -v`.
pub(crate) fn read(log: &str) -> BTreeMap<String, Resources> {
    let mut kernels: BTreeMap<String, Resources> = BTreeMap::new();
    let mut current = String::new();
    for line in log.lines() {
        let numbers: Vec<u32> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            current = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.insert(current.clone(), Resources::default());
        } else if let Some(kernel) = kernels.get_mut(&current) {
            if line.contains("bytes stack frame") {
                kernel.stack += numbers.first().copied().unwrap_or(u32::MAX);
                kernel.spills += numbers.iter().skip(1).sum::<u32>();
            } else if let Some(rest) = line.split("Used ").nth(1) {
                let registers = rest.split(' ').next().and_then(|number| number.parse().ok());
                kernel.registers = registers.unwrap_or(u32::MAX);
            }
        }
    }
    kernels
}

/// Fails if the log warns, a kernel is missing or unknown, spills, has a stack, or takes more registers than planned.
pub(crate) fn check(module: &Module, target: Target, log: &str) -> Result<BTreeMap<String, Resources>> {
    let warning = log.lines().find(|line| line.contains("warning") || line.contains("C75"));
    ensure!(warning.is_none(), "{}: {}", module.name, warning.unwrap_or_default());
    let found = read(log);
    let expected: Vec<_> =
        module.entry_points.iter().filter(|entry| target.has_bf16() || !entry.needs_bf16).collect();
    ensure!(
        found.len() == expected.len(),
        "{}: {} kernels compiled, {} are in the list of modules",
        module.name,
        found.len(),
        expected.len()
    );
    for entry in expected {
        let resources = found.get(entry.name).with_context(|| format!("{} was not compiled", entry.name))?;
        let name = entry.name;
        ensure!(resources.spills == 0, "{name} spills {} bytes of registers", resources.spills);
        ensure!(resources.stack == 0, "{name} has a stack of {} bytes", resources.stack);
        let most = entry.max_registers + if target.copies_in_registers() { COPY_REGISTERS } else { 0 };
        ensure!(
            (1..=most).contains(&resources.registers),
            "{name} takes {} registers, at most {} are planned",
            resources.registers,
            most
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Resources, check, read};
    use crate::targets::Target;
    use libvision_kernels::cuda::modules::MODULES;

    const LOG: &str = "\
ptxas info    : Compiling entry function 'f32_softmax' for 'sm_80'
ptxas info    : Function properties for f32_softmax
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 23 registers, used 1 barriers, 384 bytes cmem[0]
ptxas info    : Compiling entry function 'f32_top_k' for 'sm_80'
ptxas info    : Function properties for f32_top_k
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 31 registers, used 1 barriers, 384 bytes cmem[0]
";

    #[test]
    fn the_log_is_understood() {
        let found = read(LOG);
        assert_eq!(found["f32_softmax"], Resources { registers: 23, stack: 8, spills: 16 });
        assert_eq!(found["f32_top_k"], Resources { registers: 31, stack: 0, spills: 0 });
    }

    #[test]
    fn limits_are_kept() {
        let rows = MODULES.iter().find(|module| module.name == "rows").expect("a module");
        let clean = LOG.replace("8 bytes stack", "0 bytes stack").replace("4 bytes spill", "0 bytes spill");
        let clean = clean.replace("12 bytes spill", "0 bytes spill");
        let target = Target { capability: 80, ptx: false };
        check(rows, target, &clean).expect("within all limits");
        for (from, to, what) in [
            ("Used 23", "Used 230", "registers"),
            ("0 bytes stack", "16 bytes stack", "stack"),
            ("0 bytes spill stores", "4 bytes spill stores", "spills"),
            ("'f32_top_k'", "'f32_other'", "was not compiled"),
            ("ptxas info    : Used 31", "ptxas warning : C7510\nptxas info    : Used 31", "C7510"),
        ] {
            let error = check(rows, target, &clean.replacen(from, to, 1)).expect_err(what);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
