//! The end of the process: leaks, unfinished work, statistics, and failure if anything was reported.

use crate::codes::SUCCESS;
use crate::lock::Guard;

/// The exit status of strict mode; no test runner uses it.
const REPORTED: i32 = 86;

/// Has [`at_exit`] called when the process ends.
pub(crate) fn register() {
    // SAFETY: the function stays: the driver is never unloaded.
    unsafe { libc::atexit(at_exit) };
}

extern "C" fn at_exit() {
    if Guard::is_held() {
        return;
    }
    let mut guard = Guard::lock();
    let driver = &mut *guard;
    for device in 0..driver.devices.len() {
        if driver.devices[device].sticky != SUCCESS {
            continue;
        }
        let of_device = driver
            .operations
            .values()
            .filter(|operation| operation.is_work() && driver.streams[operation.stream].device == device);
        let unfinished: Vec<String> = of_device.map(|operation| operation.what.clone()).collect();
        for what in unfinished {
            driver.reports.report("UNFINISHED", &format!("at exit nobody has waited for [{what}]"));
        }
        if driver.devices[device].references > 0 {
            driver.reports.report("LEAK", &format!("at exit: the context of device {device}"));
            driver.report_leaks(device, "at exit");
        }
    }
    if driver.settings.statistics {
        eprintln!("SWCUDA STATISTICS: {}", driver.statistics());
    }
    if driver.settings.strict && driver.reports.total() > 0 {
        // SAFETY: flushes what C code has buffered, then ends the process, which is what it was doing anyway.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(REPORTED);
        }
    }
}
