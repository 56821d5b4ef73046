//! Recognises the committed images by their hash; the call that loads one passes no length.

use crate::codes::{Code, ERROR_INVALID_IMAGE, ERROR_INVALID_PTX, ERROR_NO_BINARY_FOR_GPU};
use libvision_cuda_emulator::Emulator;
use libvision_kernels::cuda::images::{Image, Kind};
use libvision_kernels::cuda::prebuilt::IMAGES;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

/// The ELF machine number of CUDA.
const MACHINE: u16 = 190;
/// The attribute of `.nv.info.KERNEL` that describes a parameter.
const PARAMETER: u8 = 0x17;

fn number<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    bytes.get(at as usize..)?.first_chunk().copied()
}
fn u16_at(bytes: &[u8], at: u64) -> Option<u16> {
    number(bytes, at).map(u16::from_le_bytes)
}
fn u32_at(bytes: &[u8], at: u64) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}
fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    number(bytes, at).map(u64::from_le_bytes)
}

/// The module that an image holds for a device of this compute capability; the error has a code and a reason.
///
/// # Safety
/// `image` must point to a cubin or to text that ends with a zero byte, as the driver's interface asks.
pub(crate) unsafe fn recognise(
    image: *const c_void,
    capability: u32,
) -> Result<&'static str, (Code, String)> {
    // SAFETY: every image has at least four bytes: a magic number, or text and its end, read one after the other.
    let magic = unsafe { CStr::from_ptr(image.cast()) };
    let elf = magic.to_bytes().starts_with(b"\x7fELF");
    let bytes = if elf {
        // SAFETY: an ELF file begins with a header of 64 bytes.
        let header = unsafe { std::slice::from_raw_parts(image.cast::<u8>(), 64) };
        let end = elf_length(header).ok_or((ERROR_INVALID_IMAGE, "not a cubin".to_owned()))?;
        // SAFETY: the header says where the file ends.
        unsafe { std::slice::from_raw_parts(image.cast::<u8>(), end as usize) }
    } else {
        magic.to_bytes()
    };
    let unknown = if elf { ERROR_INVALID_IMAGE } else { ERROR_INVALID_PTX };
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let Some(image) = IMAGES.iter().find(|image| image.sha256 == hash) else {
        return Err((unknown, format!("an image with SHA-256 {hash} is none of the committed ones")));
    };
    let fits = match image.kind {
        Kind::Cubin => image.capability / 10 == capability / 10 && image.capability <= capability,
        Kind::Ptx => image.capability <= capability,
    };
    if !fits {
        let Image { module, capability: made, .. } = image;
        return Err((
            ERROR_NO_BINARY_FOR_GPU,
            format!("{module} was made for {made}, the device is {capability}"),
        ));
    }
    if elf {
        check_parameters(bytes).map_err(|text| (ERROR_INVALID_IMAGE, text))?;
    }
    Ok(image.module)
}

/// Where the file ends: at the end of one of its tables.
fn elf_length(header: &[u8]) -> Option<u64> {
    if u16_at(header, 18)? != MACHINE {
        return None;
    }
    let end = |table: u64, size: u64, count: u64| {
        Some(u64_at(header, table)? + u64::from(u16_at(header, size)?) * u64::from(u16_at(header, count)?))
    };
    Some(end(0x28, 0x3a, 0x3c)?.max(end(0x20, 0x36, 0x38)?))
}

/// Size of the argument block of every emulated kernel.
pub(crate) fn argument_bytes() -> &'static BTreeMap<String, usize> {
    static SIZES: OnceLock<BTreeMap<String, usize>> = OnceLock::new();
    SIZES.get_or_init(|| {
        let entry_points = Emulator::shared().entry_points();
        entry_points.into_iter().map(|(name, _, bytes)| (name, bytes)).collect()
    })
}

/// Every kernel of the image has one parameter, as large as the emulated kernel's.
fn check_parameters(image: &[u8]) -> Result<(), String> {
    let Some(found) = parameters(image) else { return Err("a cubin with broken tables".to_owned()) };
    for (kernel, sizes) in found {
        let expected = argument_bytes().get(&kernel);
        if !matches!((&sizes[..], expected), ([size], Some(expected)) if size == expected) {
            return Err(format!(
                "{kernel} has parameters of {sizes:?} bytes, the emulated one of {expected:?}"
            ));
        }
    }
    Ok(())
}

/// The sizes of each kernel's parameters, as the cubin states them.
fn parameters(image: &[u8]) -> Option<Vec<(String, Vec<usize>)>> {
    let (table, size) = (u64_at(image, 0x28)?, u64::from(u16_at(image, 0x3a)?));
    let section = |index: u16| table + u64::from(index) * size;
    let names = u64_at(image, section(u16_at(image, 0x3e)?) + 24)?;
    let mut found = Vec::new();
    for index in 0..u16_at(image, 0x3c)? {
        let header = section(index);
        let name = image.get((names + u64::from(u32_at(image, header)?)) as usize..)?;
        let name = CStr::from_bytes_until_nul(name).ok()?.to_str().ok()?;
        let Some(kernel) = name.strip_prefix(".nv.info.") else { continue };
        let (mut at, bytes) = (u64_at(image, header + 24)?, u64_at(image, header + 32)?);
        let end = at + bytes;
        let mut sizes = Vec::new();
        while at + 4 <= end {
            let [format, attribute] = number(image, at)?;
            let length = u64::from(u16_at(image, at + 2)?);
            if format == 4 && attribute == PARAMETER {
                sizes.push((u32_at(image, at + 12)? >> 18) as usize);
            }
            at += 4 + if format == 4 { length } else { 0 };
        }
        found.push((kernel.to_owned(), sizes));
    }
    Some(found)
}
