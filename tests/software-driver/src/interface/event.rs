//! Events.

use crate::codes::*;
use crate::driver::{Needs, call, store};
use crate::objects::{Event, Handle, Object};
use crate::operation::{Kind, Operation};
use crate::schedule::run_until;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: u32) -> Code {
    call("cuEventCreate", Needs::Context, |driver| {
        let device = driver.device()?;
        let object = Object::Event(Event { without_time: flags & 2 != 0, ..Event::default() });
        let what = format!("event of call {}", driver.calls());
        let handle = driver.add(object, device, what);
        // SAFETY: a pointer for a result.
        unsafe { store(event, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> Code {
    call("cuEventDestroy_v2", Needs::Driver, |driver| {
        driver.event(event, "cuEventDestroy_v2")?;
        driver.remove(event).map(drop).ok_or(ERROR_INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(handle: Handle, stream: Handle) -> Code {
    call("cuEventRecord", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuEventRecord")?;
        driver.event(handle, "cuEventRecord")?;
        if let Some(capture) = driver.streams[stream].capture {
            if driver.captures[capture].broken {
                return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
            }
            let nodes = driver.streams[stream].tail.clone();
            let event = driver.event(handle, "cuEventRecord")?;
            (event.captured, event.last) = (Some((capture, nodes)), None);
            return Ok(());
        }
        let operation = Operation::new("record".to_owned(), Kind::Record { event: handle }, Vec::new());
        let number = driver.enqueue(stream, operation, &[]);
        let clock = driver.streams[stream].clock.clone();
        let event = driver.event(handle, "cuEventRecord")?;
        (event.captured, event.last, event.clock) = (None, Some(number), clock);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> Code {
    call("cuEventSynchronize", Needs::Context, |driver| {
        let event = driver.event(event, "cuEventSynchronize")?;
        let (last, clock) = (event.last, event.clock.clone());
        if event.captured.is_some() {
            driver.reports.report("CAPTURE", "the host waits for an event that a capture recorded");
            return Err(ERROR_CAPTURED_EVENT);
        }
        if let Some(last) = last {
            run_until(driver, last);
            driver.host_learns(&clock);
        }
        let device = driver.device()?;
        driver.check_sticky(device)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> Code {
    call("cuEventQuery", Needs::Context, |driver| {
        let event = driver.event(event, "cuEventQuery")?;
        let (last, clock) = (event.last, event.clock.clone());
        if event.captured.is_some() {
            return Err(ERROR_CAPTURED_EVENT);
        }
        driver.let_time_pass();
        if last.is_some_and(|last| driver.operations.contains_key(&last)) {
            return Err(ERROR_NOT_READY);
        }
        driver.host_learns(&clock);
        let device = driver.device()?;
        driver.check_sticky(device)
    })
}

unsafe fn elapsed(name: &str, milliseconds: *mut f32, events: [Handle; 2]) -> Code {
    call(name, Needs::Context, |driver| {
        let mut times = [None; 2];
        for (time, handle) in times.iter_mut().zip(events) {
            let event = driver.event(handle, name)?;
            let (last, without_time) = (event.last, event.without_time);
            *time = event.time;
            let Some(last) = last.filter(|_| !without_time) else { return Err(ERROR_INVALID_HANDLE) };
            if driver.operations.contains_key(&last) {
                return Err(ERROR_NOT_READY);
            }
        }
        let [Some(start), Some(end)] = times else { return Err(ERROR_INVALID_HANDLE) };
        let between = end.saturating_duration_since(start).as_secs_f32() * 1e3;
        // Half a microsecond is what a real one resolves.
        // SAFETY: a pointer for a result.
        unsafe { store(milliseconds, between.max(5e-4)) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { elapsed("cuEventElapsedTime", milliseconds, [start, end]) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { elapsed("cuEventElapsedTime_v2", milliseconds, [start, end]) }
}
