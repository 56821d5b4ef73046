//! Large pages for memory that is streamed: with small ones the translation of addresses limits how fast weights come
//! from memory.

/// Bytes that memory should start at a multiple of to lie in large pages; smaller memory has no use for them.
pub const HUGE_PAGE: usize = 2 << 20;

/// Asks the system for large pages behind `bytes` bytes from `start` on, best before they are first written. Where
/// it cannot or must not give any, nothing happens.
pub fn prefer_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: a hint, which changes no content; for a range that is not mapped it fails.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}
