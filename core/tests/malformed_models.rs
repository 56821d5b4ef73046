//! Malformed, truncated and oversized model files: each gives a typed error that names what is wrong, never
//! a panic, and takes no more memory than the files have bytes, plus 8 MiB.

mod malformed;
mod onnx_file;

use libvision::{LoadOptions, Model};
use malformed::Case;
use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What may be taken beyond the bytes of the files.
const ALLOWANCE: usize = 8 << 20;

/// Counts what is allocated and remembers the most.
struct Counting;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(size: usize) {
    let now = CURRENT.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CURRENT.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new lie side by side while the elements move.
        grown(new_size);
        CURRENT.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What loading gave and the most memory it took.
fn load(case: &Case, memory_map: bool) -> (libvision::Result<Model>, usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in &case.files {
        std::fs::write(folder.path().join(name), content).expect("a temporary file");
    }
    let options = LoadOptions { memory_map, ..LoadOptions::default() };
    let before = CURRENT.load(Relaxed);
    PEAK.store(before, Relaxed);
    let loaded = catch_unwind(AssertUnwindSafe(|| Model::load_with(folder.path(), &options)));
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    (loaded.unwrap_or_else(|_| panic!("{} panics", case.name)), taken)
}

/// What is not as it should be.
fn complaints(case: &Case) -> Vec<String> {
    let charged: usize = case.files.iter().map(|(_, content)| content.len()).sum();
    let mut complaints = Vec::new();
    let mut complain = |what: String| complaints.push(format!("{}: {what}", case.name));
    for memory_map in [true, false] {
        let (loaded, taken) = load(case, memory_map);
        if taken > charged + ALLOWANCE {
            complain(format!("{taken} bytes taken for {charged} in files"));
        }
        match (loaded, case.expected) {
            (Ok(_), None) => {}
            (Ok(_), Some(expected)) => complain(format!("expected {expected:?}, and it loads")),
            (Err(error), expected) => {
                let expected = expected.unwrap_or_default();
                let group = error.kind().number() / 100;
                if !(group == 1 || group == 3) || !error.message().contains(expected) {
                    complain(format!("expected {expected:?} in {error:?}"));
                }
                if error.source().is_some_and(|cause| error.message().contains(&cause.to_string())) {
                    complain(format!("{error:?} says what its cause says"));
                }
            }
        }
    }
    complaints
}

// One test, because the allocator counts what all threads take.
#[test]
fn malformed_models_are_refused() {
    let (cases, mutations) = (malformed::cases(), malformed::mutations());
    println!(
        "{} malformed models, and {} good ones with a few bits turned over",
        cases.len(),
        mutations.len()
    );
    let complaints: Vec<String> = cases.iter().chain(&mutations).flat_map(complaints).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(cases.len() >= 100, "{}", cases.len());
}
