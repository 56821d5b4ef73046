//! The machine code of the micro-kernels. A loop that is not unrolled, or accumulators that do not stay in registers,
//! cost a factor of three and change no result.

mod kernels;
mod listing;

use crate::command::{cargo, output, program, run};
use crate::workspace;
use anyhow::bail;
use kernels::{Code, NOT_CHECKED, Row, TABLE};
use listing::{Count, Function, Listing};

/// Builds the kernels as they are shipped and compares their code with the table.
pub fn check() -> anyhow::Result<()> {
    if !cfg!(target_arch = "x86_64") {
        println!("    SKIPPED: the table is for x86-64");
        return Ok(());
    }
    let folder = workspace::target().join("assembly");
    // Names in this form tell one instance of a generic function from another.
    let build = [
        "rustc",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "libvision-kernels",
        "--lib",
        "--target-dir",
    ];
    run(cargo().args(build).arg(&folder).args(["--", "-Csymbol-mangling-version=v0"]))?;
    let library = folder.join("release/liblibvision_kernels.rlib");
    let text = output(program("objdump", ["-d", "-C", "-M", "intel", "--no-show-raw-insn"]).arg(library))?;
    let listing = listing::read(&text);
    let wrong = compare(TABLE, &listing);
    if !wrong.is_empty() {
        bail!(
            "machine code of the kernels (expectations: xtask/src/check/assembly/kernels.rs)\n{}",
            wrong.join("\n")
        );
    }
    println!("    {} rows of the table hold", TABLE.len());
    Ok(())
}

/// A line per kernel that is not as the table says, is missing, or is not in it.
fn compare(table: &[Row], listing: &Listing) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for row in table {
        for rows in row.rows.clone() {
            let kernel = row.kernel.replace('#', &rows.to_string());
            let name = symbol(row.isa, &kernel);
            match listing.get(&name) {
                Some(function) => {
                    wrong.extend(verdict(row, rows, function).map(|what| format!("{name}: {what}")))
                }
                None => wrong
                    .push(format!("{name}: not in the library; was it renamed, or is its row out of date?")),
            }
            known.push(name);
        }
    }
    for isa in ["Avx2Fma", "Avx512"] {
        let kernel = |name: &str| name.strip_prefix(&symbol_start(isa)).map(str::to_owned);
        let is_exempt =
            |kernel: &str| NOT_CHECKED.iter().any(|name| kernel.split(['<', '>']).next() == Some(*name));
        let of_isa = listing.keys().filter(|name| kernel(name).is_some_and(|kernel| !is_exempt(&kernel)));
        let new = of_isa.filter(|name| !known.contains(name));
        wrong.extend(new.map(|name| format!("{name}: not in the table; add a row")));
    }
    wrong
}

/// What is wrong with a kernel of `rows` rows.
fn verdict(row: &Row, rows: usize, function: &Function) -> Option<String> {
    let count = match row.code {
        Code::Loop { fmas, sums } => {
            let count = function.busiest_loop();
            let (step, sums) = (rows * fmas, rows * sums);
            if count.fmas == 0 || !count.fmas.is_multiple_of(step) || count.results < sums {
                let Count { fmas, results, .. } = count;
                return Some(format!(
                    "expected a multiple of {step} multiply-adds into {sums} registers in the innermost loop, found \
                     {fmas} into {results}"
                ));
            }
            count
        }
        Code::Straight(expected) => {
            let count = function.straight();
            if count.fmas != expected {
                return Some(format!(
                    "expected {expected} multiply-adds outside of loops, found {}",
                    count.fmas
                ));
            }
            count
        }
    };
    let most = row.stack;
    let message =
        format!("expected at most {most} moves of vectors to or from the stack, found {}", count.stack);
    (count.stack > most).then_some(message)
}

fn symbol_start(isa: &str) -> String {
    format!("<{isa} as Entry>::enter::<")
}

fn symbol(isa: &str, kernel: &str) -> String {
    format!("{}{kernel}>", symbol_start(isa))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop with `fmas` multiply-adds into so many registers and `stack` spills.
    fn tile(rows: usize, fmas: usize, registers: usize, stack: usize) -> String {
        let mut text = format!("0 <<x::Avx512 as x::Entry>::enter::<x::Tile<{rows}, 2, 8>>>:\n");
        let lines = (0..fmas)
            .map(|number| format!("vfmadd231ps zmm{},zmm30,zmm31", number % registers))
            .chain((0..stack).map(|_| "vmovups ZMMWORD PTR [rsp+0x40],zmm0".to_owned()))
            .chain(["jne    0 <x>".to_owned()]);
        for (number, line) in lines.enumerate() {
            text += &format!("  {:x}:\t{line}\n", number * 4);
        }
        text
    }

    #[test]
    fn each_way_to_be_wrong_is_found() {
        let table = [Row {
            isa: "Avx512",
            kernel: "Tile<#, 2, 8>",
            rows: 3..=4,
            code: Code::Loop { fmas: 2, sums: 2 },
            stack: 1,
        }];
        let good = tile(4, 16, 8, 1);
        let cases = [
            (tile(3, 12, 6, 0), None),
            (tile(3, 2, 2, 0), Some("multiple of 6")),
            (tile(3, 0, 1, 0), Some("found 0")),
            (tile(3, 12, 2, 0), Some("12 into 2")),
            (tile(3, 6, 6, 2), Some("stack")),
            (String::new(), Some("not in the library")),
            (tile(3, 6, 6, 0) + &tile(5, 10, 10, 0), Some("add a row")),
        ];
        for (text, expected) in cases {
            let wrong = compare(&table, &listing::read(&(text + &good)));
            match expected {
                None => assert!(wrong.is_empty(), "{wrong:?}"),
                Some(words) => assert!(wrong.len() == 1 && wrong[0].contains(words), "{wrong:?}"),
            }
        }
    }
}
