//! What loading a model is told. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{array, boundary, invalid, text};
use crate::preprocess::{self, vision_preprocess_t};
use crate::status::vision_status_t;
use libvision::{Head, LoadOptions, Result};
use std::ffi::c_char;

/// What turns a model's outputs into scores. A number of `enum vision_head`.
pub type vision_head_t = u32;

/// What turns a model's outputs into scores.
#[repr(C)]
pub enum vision_head {
    /// What the model's files imply.
    VISION_HEAD_FROM_MODEL = 0,
    /// Classes exclude each other; scores sum to 1.
    VISION_HEAD_SOFTMAX = 1,
    /// Each class is judged by itself; scores are between 0 and 1.
    VISION_HEAD_SIGMOID = 2,
    /// The model's outputs are scores already.
    VISION_HEAD_IDENTITY = 3,
}

/// What the caller knows better than a model's files. Fill with vision_load_options_init().
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_load_options_t {
    /// Set by vision_load_options_init().
    pub struct_size: u32,
    /// 1: leave weights in the mapped file, which must not be cut or written while it is being loaded or an
    /// engine starts; replace it by renaming. 0: read them.
    pub memory_map: u32,
    /// In place of what the files imply.
    pub head: vision_head_t,
    /// Length of `labels`.
    pub label_count: u32,
    /// In place of the labels in the files, one per class; NULL takes those.
    pub labels: *const *const c_char,
    /// In place of the preprocessing in the files; NULL takes that.
    pub preprocess: *const vision_preprocess_t,
    /// Largest file that is read.
    pub max_file_bytes: u64,
}

const FROM_MODEL: u32 = vision_head::VISION_HEAD_FROM_MODEL as u32;
const SOFTMAX: u32 = vision_head::VISION_HEAD_SOFTMAX as u32;
const SIGMOID: u32 = vision_head::VISION_HEAD_SIGMOID as u32;
const IDENTITY: u32 = vision_head::VISION_HEAD_IDENTITY as u32;
fn defaults() -> vision_load_options_t {
    let options = LoadOptions::default();
    vision_load_options_t {
        struct_size: size_of::<vision_load_options_t>() as u32,
        memory_map: options.memory_map.into(),
        head: FROM_MODEL,
        label_count: 0,
        labels: std::ptr::null(),
        preprocess: std::ptr::null(),
        max_file_bytes: options.max_file_bytes,
    }
}

/// What the caller gave, or the defaults for NULL.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's whose pointers are valid.
pub(crate) unsafe fn load_options(pointer: *const vision_load_options_t, name: &str) -> Result<LoadOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, defaults(), name)? };
    let labels = if given.labels.is_null() && given.label_count == 0 {
        None
    } else {
        let field = format!("{name}.labels");
        // SAFETY: the caller promises `label_count` strings.
        let pointers = unsafe { array(given.labels, given.label_count as usize, &field)? };
        let label = |(i, &pointer): (usize, &*const c_char)| {
            // SAFETY: as above.
            Ok(unsafe { text(pointer, &format!("{field}[{i}]"))? }.to_owned())
        };
        Some(pointers.iter().enumerate().map(label).collect::<Result<_>>()?)
    };
    Ok(LoadOptions {
        // SAFETY: the caller promises a struct or NULL.
        preprocess: unsafe { preprocess::optional(given.preprocess, &format!("{name}.preprocess"))? },
        labels,
        head: match given.head {
            FROM_MODEL => None,
            SOFTMAX => Some(Head::Softmax),
            SIGMOID => Some(Head::Sigmoid),
            IDENTITY => Some(Head::Identity),
            other => return Err(invalid(format!("{name}.head is {other}; expected a VISION_HEAD_..."))),
        },
        memory_map: given.memory_map != 0,
        max_file_bytes: given.max_file_bytes,
    })
}

/// Fills `options` with the defaults; `options_size` is sizeof(vision_load_options_t).
///
/// # Safety
///
/// `options` is NULL or writable for `options_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_load_options_init(
    options: *mut vision_load_options_t,
    options_size: usize,
) -> vision_status_t {
    // SAFETY: the caller's promise.
    boundary(|| unsafe { init(options, options_size, defaults(), "options") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    fn message(given: &vision_load_options_t) -> String {
        // SAFETY: the struct and what it points at live through the call.
        unsafe { load_options(given, "options") }.unwrap_err().message().to_owned()
    }

    #[test]
    fn null_and_a_filled_struct_both_mean_core_s_defaults() {
        // SAFETY: NULL, or a struct that lives through the call and whose pointers are NULL.
        let read = unsafe { [load_options(null(), "options"), load_options(&defaults(), "options")] };
        for options in read {
            assert_eq!(format!("{:?}", options.unwrap()), format!("{:?}", LoadOptions::default()));
        }
    }

    #[test]
    fn every_field_arrives() {
        let labels = [c"cat".as_ptr(), c"dog".as_ptr()];
        let given = vision_load_options_t {
            memory_map: 0,
            head: SIGMOID,
            label_count: 2,
            labels: labels.as_ptr(),
            max_file_bytes: 7,
            ..defaults()
        };
        // SAFETY: the struct and what it points at live through the call.
        let read = unsafe { load_options(&given, "options") }.unwrap();
        assert_eq!(read.labels.unwrap(), ["cat", "dog"]);
        assert_eq!((read.memory_map, read.head, read.max_file_bytes), (false, Some(Head::Sigmoid), 7));
    }

    #[test]
    fn what_means_nothing_is_named() {
        let labels = [c"cat".as_ptr(), null()];
        let unlabelled = vision_load_options_t { label_count: 2, ..defaults() };
        let half = vision_load_options_t { labels: labels.as_ptr(), ..unlabelled };
        assert_eq!(message(&unlabelled), "options.labels is NULL");
        assert_eq!(message(&half), "options.labels[1] is NULL");
        let head = vision_load_options_t { head: 4, ..defaults() };
        assert_eq!(message(&head), "options.head is 4; expected a VISION_HEAD_...");
    }
}
