//! Instructions of each kernel, counted by kind in the disassembly.

use crate::Places;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Command;

/// The kinds that the report shows, by the start of their names.
pub(crate) const KINDS: &[(&str, &[&str])] = &[
    ("MMA", &["HMMA"]),
    ("LDSM", &["LDSM"]),
    ("LDGSTS", &["LDGSTS"]),
    ("LDG", &["LDG."]),
    ("STG", &["STG."]),
    ("LDS", &["LDS."]),
    ("STS", &["STS."]),
    ("BAR", &["BAR."]),
    ("FFMA", &["FFMA"]),
    ("MUFU", &["MUFU"]),
];

/// For each kernel of a cubin the count of each kind, then of all instructions.
pub(crate) fn count(places: &Places, cubin: &[u8]) -> Result<BTreeMap<String, Vec<usize>>> {
    let bin = places.toolchain.join("nvidia/cu13/bin");
    let file = std::env::temp_dir().join(format!("libvision-{}.cubin", std::process::id()));
    std::fs::write(&file, cubin)?;
    // cuobjdump looks for nvdisasm along the path.
    let path = std::env::join_paths(
        std::iter::once(bin.clone())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    let output = Command::new(bin.join("cuobjdump")).arg("-sass").arg(&file).env("PATH", path).output();
    // Only the name of a temporary file is at stake.
    let _ = std::fs::remove_file(&file);
    let output = output.context("cuobjdump")?;
    ensure!(output.status.success(), "cuobjdump: {}", String::from_utf8_lossy(&output.stderr));
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

fn read(text: &str) -> BTreeMap<String, Vec<usize>> {
    let mut kernels: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.split("Function : ").nth(1) {
            current = Some(kernels.entry(name.trim().to_owned()).or_insert_with(|| vec![0; KINDS.len() + 1]));
            continue;
        }
        let (Some(counts), Some(instruction)) = (&mut current, instruction(line)) else { continue };
        counts[KINDS.len()] += 1;
        for (count, (_, names)) in counts.iter_mut().zip(KINDS) {
            *count += usize::from(names.iter().any(|name| instruction.starts_with(name)));
        }
    }
    kernels
}

/// `/*0010*/  @!P0 HMMA.16816.F32 ... ;` without address and predicate.
fn instruction(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("/*")?;
    let (address, rest) = rest.split_once("*/")?;
    let is_address = address.len() == 4 && address.bytes().all(|b| b.is_ascii_hexdigit())
        || address.len() == 5 && address.bytes().all(|b| b.is_ascii_hexdigit());
    let rest = rest.trim_start();
    let rest = if rest.starts_with('@') { rest.split_once(' ')?.1.trim_start() } else { rest };
    (is_address && rest.contains(';')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, read};

    #[test]
    fn instructions_are_counted_by_kind() {
        let text = "
\t\tFunction : f16_x
\t.headerflags\t@\"EF_CUDA_SM80\"
        /*0000*/                   MOV R1, c[0x0][0x28] ;   /* 0x00000a0000017a02 */
                                                            /* 0x000fe40000000f00 */
        /*0010*/              @!P0 HMMA.16816.F32 R4, R8, R12, R4 ;  /* 0x0 */
        /*00a0*/                   LDGSTS.E.BYPASS.128 [R1], [R2.64] ; /* 0x0 */
";
        let counts = &read(text)["f16_x"];
        let of = |kind: &str| counts[KINDS.iter().position(|(name, _)| *name == kind).expect("a kind")];
        assert_eq!((of("MMA"), of("LDGSTS"), of("LDG"), counts[KINDS.len()]), (1, 1, 0, 3));
    }
}
