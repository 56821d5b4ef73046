//! Calls that no real driver has: for tests within one process.

use crate::lock::Guard;

/// How many reports there are so far.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_reports() -> u64 {
    Guard::lock().reports.total()
}

/// How many calls were made so far, and how many copies, fills and kernels have run.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_calls() -> u64 {
    Guard::lock().calls()
}

/// How many copies, fills and kernels have run so far.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_operations() -> u64 {
    Guard::lock().work_done
}

/// Lets the operation that hangs go on.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_release() {
    Guard::lock().release_hang();
}

/// The `after`-th call from now on fails with `code`; 0 takes a failure back.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_fail(after: u64, code: i32) {
    let mut guard = Guard::lock();
    guard.settings.fail_call = if after == 0 { 0 } else { guard.calls() + after };
    guard.settings.fail_code = code;
}

/// The `after`-th copy, fill or kernel from now on faults with `code`; 0 takes a fault back.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_fault(after: u64, code: i32) {
    let mut guard = Guard::lock();
    guard.settings.fault_operation = if after == 0 { 0 } else { guard.work_done + after };
    guard.settings.fail_code = code;
}

/// The `after`-th copy, fill or kernel from now on hangs; 0 takes that back.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_hang(after: u64) {
    let mut guard = Guard::lock();
    guard.released = false;
    guard.settings.hang_operation = if after == 0 { 0 } else { guard.work_done + after };
}

/// The bytes of each device from now on.
#[unsafe(no_mangle)]
extern "C" fn libvision_swcuda_memory(bytes: u64) {
    Guard::lock().settings.memory = bytes;
}
