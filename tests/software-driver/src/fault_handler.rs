//! Accesses of the program to memory it may not touch now: reported, then let through if they can be.

use crate::lock::Guard;
use crate::memory::{PAGE, Place, protect};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// What handled such signals before.
struct Before(libc::sigaction);
// SAFETY: plain data, written once.
unsafe impl Sync for Before {}
// SAFETY: the same.
unsafe impl Send for Before {}
static BEFORE: OnceLock<Before> = OnceLock::new();

/// Installs the handler once. It runs on the faulting thread's own stack: it prints, and alternate stacks are
/// too small for that.
pub(crate) fn install() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeros are a valid `sigaction`; the handler has the signature that SA_SIGINFO asks for. Faults come
    // from the program's own loads and stores, so the handler may lock and allocate unless the driver itself is
    // at work, which it checks first.
    let before = unsafe {
        (*action.as_mut_ptr()).sa_sigaction = handle as *const () as usize;
        (*action.as_mut_ptr()).sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        if libc::sigaction(libc::SIGSEGV, action.as_ptr(), before.as_mut_ptr()) != 0 {
            return;
        }
        before.assume_init()
    };
    let _ = BEFORE.set(Before(before));
}

extern "C" fn handle(signal: i32, information: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system passes valid pointers to a handler with SA_SIGINFO.
    let (address, write) = unsafe { ((*information).si_addr() as u64, is_write(context)) };
    if !Guard::is_held() && note(address, write) {
        return;
    }
    // Not ours, or beyond help: the access is made again under the old handler.
    if let Some(before) = BEFORE.get() {
        // SAFETY: what `sigaction` itself had returned.
        unsafe { libc::sigaction(signal, &before.0, std::ptr::null_mut()) };
    }
}

/// Whether the access was a store.
///
/// # Safety
/// `context` must be what the system passed to a signal handler.
#[cfg(target_arch = "x86_64")]
unsafe fn is_write(context: *mut libc::c_void) -> bool {
    // SAFETY: by this function's contract. Bit 1 of the page fault's error code is set for writes.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_ERR as usize] & 2 != 0 }
}

/// Unknown elsewhere: counted as a store, which may name a copy that only reads.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn is_write(_: *mut libc::c_void) -> bool {
    true
}

/// Reports the access; true if it may go on.
fn note(address: u64, write: bool) -> bool {
    let mut guard = Guard::lock();
    let driver = &mut *guard;
    let Some(memory) = &mut driver.memory else { return false };
    if !memory.is_device(address) && !memory.is_pinned(address) {
        return false;
    }
    let does = if write { "writes" } else { "reads" };
    let Some(base) = memory.nearest(address).map(|block| block.base) else { return false };
    let Some(block) = memory.block_mut(base) else { return false };
    let at = address - base;
    if matches!(block.place, Place::Device(_)) || block.freed || at >= block.bytes.next_multiple_of(PAGE) {
        let state = if block.freed { ", which was freed" } else { "" };
        driver.reports.report("HOST ACCESS", &format!("the host {does} byte {at} of {}{state}", block.what));
        return false;
    }
    let touches = |past: &&crate::schedule::Past| {
        (past.access.from..past.access.to).contains(&address) && (write || past.access.write)
    };
    let races: Vec<String> = block.past.iter().filter(touches).map(|past| past.what.clone()).collect();
    if races.is_empty() {
        // A neighbour in the page of a range under way: the page is given up.
        let page = address / PAGE * PAGE;
        protect(page, page + PAGE, libc::PROT_READ | libc::PROT_WRITE);
        return true;
    }
    for what in races {
        let text = format!("the host {does} byte {at} of {} before it has waited for [{what}]", block.what);
        driver.reports.report("HOST RACE", &text);
    }
    block.past.clear();
    block.protect();
    true
}
