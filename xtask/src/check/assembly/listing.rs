//! What objdump prints, as functions with instructions and loops.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// Functions by name, without the paths of modules in it.
pub type Listing = BTreeMap<String, Function>;

#[derive(Default)]
pub struct Function {
    instructions: Vec<Instruction>,
}

struct Instruction {
    address: u64,
    name: String,
    operands: String,
}

/// Reads the output of `objdump -d -C -M intel --no-show-raw-insn`.
pub fn read(text: &str) -> Listing {
    let mut listing = Listing::new();
    let mut current = None;
    for line in text.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            current = Some(listing.entry(without_paths(name)).or_default());
        } else if let Some(function) = &mut current
            && let Some(instruction) = instruction(line)
        {
            function.instructions.push(instruction);
        }
    }
    listing
}

fn instruction(line: &str) -> Option<Instruction> {
    let (address, code) = line.trim_start().split_once(":\t")?;
    let (name, operands) = code.split_once(' ').unwrap_or((code, ""));
    Some(Instruction {
        address: u64::from_str_radix(address, 16).ok()?,
        name: name.to_owned(),
        operands: operands.trim().to_owned(),
    })
}

/// `a::b::C<d::E>` to `C<E>`; `a::b::<C>` to `b::<C>`.
fn without_paths(name: &str) -> String {
    let mut short = String::new();
    let mut rest = name;
    while let Some(letter) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let (head, tail) = rest.split_at(word.max(letter.len_utf8()));
        rest = match tail.strip_prefix("::") {
            Some(inner) if word > 0 && !inner.starts_with('<') => inner,
            _ => {
                short += head;
                tail
            }
        };
    }
    short
}

impl Function {
    /// Addresses of each loop: a jump back and what it jumps over.
    fn loops(&self) -> Vec<RangeInclusive<u64>> {
        let back = |instruction: &Instruction| {
            let target = instruction.operands.split(' ').next()?;
            let target = u64::from_str_radix(target, 16).ok()?;
            let is_back = instruction.name.starts_with('j') && target <= instruction.address;
            is_back.then_some(target..=instruction.address)
        };
        self.instructions.iter().filter_map(back).collect()
    }

    /// Of the loops that hold no other one that with most multiply-adds.
    pub fn busiest_loop(&self) -> Count {
        let loops = self.loops();
        let holds = |outer: &RangeInclusive<u64>, inner: &RangeInclusive<u64>| {
            outer != inner && outer.start() <= inner.start() && inner.end() <= outer.end()
        };
        let innermost = loops.iter().filter(|outer| !loops.iter().any(|inner| holds(outer, inner)));
        innermost
            .map(|addresses| self.count(|address| addresses.contains(&address)))
            .max()
            .unwrap_or_default()
    }

    /// What is outside of all loops; moves to and from the stack in all of it.
    pub fn straight(&self) -> Count {
        let loops = self.loops();
        let outside = self.count(|address| !loops.iter().any(|addresses| addresses.contains(&address)));
        Count { stack: self.count(|_| true).stack, ..outside }
    }

    fn count(&self, is_counted: impl Fn(u64) -> bool) -> Count {
        let is_frame = |i: &Instruction| i.name == "mov" && i.operands == "rbp,rsp";
        let has_frame = self.instructions.iter().take(16).any(is_frame);
        let mut count = Count::default();
        let mut results = BTreeSet::new();
        let vectors = self.instructions.iter().filter(|i| i.name.starts_with('v') && is_counted(i.address));
        for Instruction { name, operands, .. } in vectors {
            if name.starts_with("vfm") || name.starts_with("vfnm") {
                count.fmas += 1;
                results.insert(operands.split(',').next());
            }
            let is_on_stack = operands.contains("[rsp") || has_frame && operands.contains("[rbp");
            count.stack += usize::from(is_on_stack);
        }
        Count { results: results.len(), ..count }
    }
}

/// Instructions of a piece of code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// Fused multiply-adds.
    pub fmas: usize,
    /// Registers that they write.
    pub results: usize,
    /// Moves of vectors to or from the stack, sums with a vector on it included.
    pub stack: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
0000000000000000 <<lib::x86::Avx512 as lib::Entry>::enter::<lib::tile::Tile<2, 1, 0>>>:
   0:\tpush   rbp
   1:\tmov    rbp,rsp
   4:\tvfmadd231ps zmm0,zmm1,zmm2
   8:\tvmovups zmm9,ZMMWORD PTR [rsp+0x40]
   c:\tvmovups zmm1,ZMMWORD PTR [rdi]
  10:\tvfmadd231ps zmm0,zmm1,DWORD PTR [rax]{1to16}
  14:\tvfnmadd231ps zmm2,zmm1,DWORD PTR [rbx]{1to16}
  18:\tmov    rax,QWORD PTR [rsp+0x8]
  1c:\tvmovups ZMMWORD PTR [rbp-0x40],zmm0
  20:\tjne    c <lib::tile+0xc>
  24:\tvaddps zmm0,zmm0,zmm1
  28:\tjb     8 <lib::tile+0x8>
  2c:\tret
";

    #[test]
    fn loops_multiply_adds_and_the_stack_are_counted() {
        let listing = read(TEXT);
        let function = &listing["<Avx512 as Entry>::enter::<Tile<2, 1, 0>>"];
        assert_eq!(function.busiest_loop(), Count { fmas: 2, results: 2, stack: 1 });
        assert_eq!(function.straight(), Count { fmas: 1, results: 1, stack: 2 });
    }

    #[test]
    fn a_function_without_loops_has_none() {
        let listing =
            read("0 <a::b>:\n   0:\tvfmadd231ps zmm0,zmm1,zmm2\n   4:\tjne    8 <a+8>\n   8:\tret\n");
        assert_eq!(listing["b"].busiest_loop(), Count::default());
        assert_eq!(listing["b"].straight().fmas, 1);
    }
}
