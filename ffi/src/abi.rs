//! The ABI's version, and the rule by which its structs grow: a struct says how long its caller believes
//! it is, new fields come at the end, and every length that was ever shipped works.

use crate::boundary::{invalid, null};
use crate::engine_options::{vision_engine_options_t, vision_tenant_weight_t};
use crate::image::vision_image_t;
use crate::load_options::vision_load_options_t;
use crate::metrics::{vision_histogram_t, vision_metrics_t};
use crate::preprocess::vision_preprocess_t;
use crate::request_options::vision_request_options_t;
use crate::result::{vision_prediction_t, vision_timing_t};
use crate::tensor::vision_tensor_t;
use libvision::Result;
use std::ffi::c_char;

/// Changes when a program compiled against an older header would break. It is also the number in the
/// shared library's soname.
pub const VISION_ABI_MAJOR: u32 = 0;
/// Grows when functions, statuses or fields are added.
pub const VISION_ABI_MINOR: u32 = 2;

/// The ABI of the library that is loaded: major << 16 | minor. A program compiled against this header
/// can use it if the major numbers are equal and the library's minor number is not the smaller one.
#[unsafe(no_mangle)]
pub extern "C" fn vision_abi_version() -> u32 {
    VISION_ABI_MAJOR << 16 | VISION_ABI_MINOR
}

/// The version of the library that is loaded, as VISION_VERSION is that of the header. Lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn vision_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// A struct that grows at its end.
///
/// # Safety
///
/// `#[repr(C)]`, made of numbers, pointers and arrays of them, with no padding.
pub(crate) unsafe trait Grows: Copy {
    /// Its length when it was first shipped.
    const FIRST_SIZE: usize;
}

/// A struct of the caller's that says how long it is.
///
/// # Safety
///
/// The first field is `struct_size: u32`.
pub(crate) unsafe trait SaysItsSize: Grows {
    /// How the caller gets the size right, for messages.
    const REMEDY: &str;
}

// The lengths as first shipped never change; those of now are in `abi/layouts.txt` too, and the test
// that reads that file finds any padding.
const _: () = assert!(size_of::<vision_load_options_t>() == 40 && size_of::<vision_preprocess_t>() == 76);
const _: () =
    assert!(size_of::<vision_engine_options_t>() == 216 && size_of::<vision_request_options_t>() == 56);
const _: () = assert!(size_of::<vision_image_t>() == 48 && size_of::<vision_timing_t>() == 56);
const _: () = assert!(size_of::<vision_metrics_t>() == 2232);
// Callers lay these in arrays, or they lie within others: they never grow.
const _: () = assert!(size_of::<vision_tensor_t>() == 40 && size_of::<vision_prediction_t>() == 16);
const _: () = assert!(size_of::<vision_tenant_weight_t>() == 16 && size_of::<vision_histogram_t>() == 240);

// SAFETY: numbers and pointers, without padding by the assertion above and the test on layouts.
unsafe impl Grows for vision_load_options_t {
    const FIRST_SIZE: usize = 40;
}
// SAFETY: as above.
unsafe impl Grows for vision_preprocess_t {
    const FIRST_SIZE: usize = 76;
}
// SAFETY: as above.
unsafe impl Grows for vision_engine_options_t {
    const FIRST_SIZE: usize = 64;
}
// SAFETY: as above.
unsafe impl Grows for vision_request_options_t {
    const FIRST_SIZE: usize = 24;
}
// SAFETY: as above.
unsafe impl Grows for vision_image_t {
    const FIRST_SIZE: usize = 48;
}
// SAFETY: as above.
unsafe impl Grows for vision_timing_t {
    const FIRST_SIZE: usize = 56;
}

// SAFETY: as above.
unsafe impl Grows for vision_metrics_t {
    const FIRST_SIZE: usize = 2136;
}

// SAFETY: `struct_size` is its first field.
unsafe impl SaysItsSize for vision_load_options_t {
    const REMEDY: &str = "fill the struct with vision_load_options_init()";
}
// SAFETY: as above.
unsafe impl SaysItsSize for vision_preprocess_t {
    const REMEDY: &str = "fill the struct with vision_preprocess_init() or vision_model_preprocess()";
}
// SAFETY: as above.
unsafe impl SaysItsSize for vision_engine_options_t {
    const REMEDY: &str = "fill the struct with vision_engine_options_init()";
}
// SAFETY: as above.
unsafe impl SaysItsSize for vision_request_options_t {
    const REMEDY: &str = "fill the struct with vision_request_options_init()";
}
// SAFETY: as above.
unsafe impl SaysItsSize for vision_image_t {
    const REMEDY: &str = "set it to sizeof(vision_image_t)";
}

/// Longer than any of these structs will be: a size over this was never set.
const SIZE_LIMIT: usize = 4096;

/// What the caller gave, with `defaults` in the fields that its header did not have yet; `defaults` for
/// NULL. Fields that this library does not know yet must be zero.
///
/// # Safety
///
/// `pointer` is NULL or readable for as many bytes as its `struct_size` says.
pub(crate) unsafe fn read<T: SaysItsSize>(pointer: *const T, defaults: T, name: &str) -> Result<T> {
    if pointer.is_null() {
        return Ok(defaults);
    }
    // SAFETY: `struct_size` comes first, and the caller made at least that readable.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    check_size::<T>(size, &format!("{name}.struct_size"), T::REMEDY)?;
    let known = size.min(size_of::<T>());
    let mut value = defaults;
    // SAFETY: `known` bytes are within both, and any bytes make a `T` (`Grows`).
    unsafe { pointer.cast::<u8>().copy_to_nonoverlapping((&raw mut value).cast(), known) };
    // SAFETY: the caller made `size` bytes readable.
    let unknown = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if unknown.iter().any(|&byte| byte != 0) {
        return Err(invalid(format!("{name} sets a field that is newer than this library")));
    }
    Ok(value)
}

/// Writes as much of `value` as the caller has room for, and zeros into what it has beyond that.
///
/// # Safety
///
/// `pointer` is NULL or writable for `size` bytes.
pub(crate) unsafe fn write<T: Grows>(pointer: *mut T, size: usize, value: T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(null(name));
    }
    check_size::<T>(size, &format!("the size of {name}"), "pass the sizeof of the struct")?;
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes are within both, the rest within the caller's; a `T` has no padding (`Grows`).
    unsafe {
        pointer.cast::<u8>().copy_from_nonoverlapping((&raw const value).cast(), known);
        pointer.cast::<u8>().add(known).write_bytes(0, size - known);
    }
    Ok(())
}

/// The same for a struct that says its size: `struct_size` becomes the caller's.
///
/// # Safety
///
/// As for [`write()`].
pub(crate) unsafe fn init<T: SaysItsSize>(pointer: *mut T, size: usize, value: T, name: &str) -> Result<()> {
    // SAFETY: the caller's promise is the same.
    unsafe { write(pointer, size, value, name)? };
    // SAFETY: `write` refused NULL and sizes below the first, so there is room for the first field.
    unsafe { pointer.cast::<u32>().write_unaligned(size as u32) };
    Ok(())
}

fn check_size<T: Grows>(size: usize, what: &str, remedy: &str) -> Result<()> {
    if (T::FIRST_SIZE..=SIZE_LIMIT).contains(&size) {
        return Ok(());
    }
    Err(invalid(format!("{what} is {size} and must be at least {}: {remedy}", T::FIRST_SIZE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Grown {
        struct_size: u32,
        first: u32,
        later: u32,
    }
    // SAFETY: three numbers of one size.
    unsafe impl Grows for Grown {
        const FIRST_SIZE: usize = 8;
    }
    // SAFETY: `struct_size` is its first field.
    unsafe impl SaysItsSize for Grown {
        const REMEDY: &str = "fill it";
    }
    const DEFAULTS: Grown = Grown { struct_size: 12, first: 10, later: 20 };

    fn read_words(words: &[u32]) -> Result<Grown> {
        // SAFETY: each test's array is as long as its first word says, or that word is refused.
        unsafe { read(words.as_ptr().cast(), DEFAULTS, "options") }
    }

    #[test]
    fn callers_of_any_age_are_understood() {
        assert_eq!(read_words(&[8, 1]).unwrap(), Grown { struct_size: 8, first: 1, later: 20 });
        assert_eq!(read_words(&[12, 1, 2]).unwrap(), Grown { struct_size: 12, first: 1, later: 2 });
        assert_eq!(read_words(&[16, 1, 2, 0]).unwrap(), Grown { struct_size: 16, first: 1, later: 2 });
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read(std::ptr::null(), DEFAULTS, "options") }.unwrap(), DEFAULTS);
    }

    #[test]
    fn sizes_that_no_header_had_and_fields_from_the_future_are_refused() {
        for size in [0, 4, 7, 4097, u32::MAX] {
            let message = read_words(&[size, 0]).unwrap_err().message().to_owned();
            assert_eq!(message, format!("options.struct_size is {size} and must be at least 8: fill it"));
        }
        let error = read_words(&[16, 1, 2, 3]).unwrap_err();
        assert_eq!(error.message(), "options sets a field that is newer than this library");
    }

    #[test]
    fn what_is_written_fits_into_the_caller_s_struct() {
        for (size, expected) in [(8, [8, 10, 7, 7]), (12, [12, 10, 20, 7]), (16, [16, 10, 20, 0])] {
            let mut words = [7u32; 4];
            // SAFETY: `size` is at most the array's length.
            unsafe { init(words.as_mut_ptr().cast(), size, DEFAULTS, "options") }.unwrap();
            assert_eq!(words, expected);
        }
        let mut words = [7u32; 4];
        // SAFETY: refused before anything is written.
        assert!(unsafe { init(words.as_mut_ptr().cast::<Grown>(), 4, DEFAULTS, "options") }.is_err());
        assert_eq!(words, [7; 4]);
    }
}
