//! The name of this processor, for people.

/// The brand that the processor gives itself, or else its architecture.
pub fn processor_name() -> String {
    brand().unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Leaves 0x80000002 to 0x80000004 of `cpuid` hold 48 bytes of text.
#[cfg(target_arch = "x86_64")]
fn brand() -> Option<String> {
    use std::arch::x86_64::__cpuid;
    const LEAVES: [u32; 3] = [0x8000_0002, 0x8000_0003, 0x8000_0004];
    if __cpuid(0x8000_0000).eax < LEAVES[2] {
        return None;
    }
    let registers = LEAVES.map(__cpuid).map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    let bytes: Vec<u8> = registers.into_iter().flatten().flat_map(u32::to_le_bytes).collect();
    let text = String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next()?).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(not(target_arch = "x86_64"))]
fn brand() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_one_line_of_words() {
        let name = super::processor_name();
        assert!(!name.is_empty() && name.trim() == name, "{name:?}");
        assert!(!name.contains(|c: char| c.is_control()), "{name:?}");
    }
}
