//! Streams, and capturing them.

use super::memory::refuse_capture;
use crate::codes::*;
use crate::driver::{Needs, call, store};
use crate::objects::{Graph, Handle, Object};
use crate::operation::{Capture, Kind, Operation};
use crate::schedule::synchronize_stream;
use std::collections::BTreeSet;

unsafe fn create(name: &str, stream: *mut Handle, flags: u32) -> Code {
    call(name, Needs::Context, |driver| {
        let device = driver.device()?;
        let number = driver.new_stream(device, flags & 1 == 0);
        let handle = driver.add(Object::Stream(number), device, format!("stream {number}"));
        // SAFETY: a pointer for a result.
        unsafe { store(stream, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: u32) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { create("cuStreamCreate", stream, flags) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut Handle, flags: u32, _priority: i32) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { create("cuStreamCreateWithPriority", stream, flags) }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Code {
    call("cuStreamDestroy_v2", Needs::Context, |driver| {
        // What is queued still runs.
        let number = driver.stream(stream, "cuStreamDestroy_v2")?;
        if refuse_capture(driver, number, "cuStreamDestroy_v2").is_err() {
            driver.streams[number].capture = None;
        }
        driver.remove(stream).map(drop).ok_or(ERROR_INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> Code {
    call("cuStreamSynchronize", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuStreamSynchronize")?;
        refuse_capture(driver, stream, "cuStreamSynchronize")?;
        synchronize_stream(driver, stream)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> Code {
    call("cuStreamQuery", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuStreamQuery")?;
        refuse_capture(driver, stream, "cuStreamQuery")?;
        driver.let_time_pass();
        let last = driver.streams[stream].last;
        if last.is_some_and(|last| driver.operations.contains_key(&last)) {
            return Err(ERROR_NOT_READY);
        }
        synchronize_stream(driver, stream)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> Code {
    call("cuStreamWaitEvent", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuStreamWaitEvent")?;
        let event = driver.event(event, "cuStreamWaitEvent")?;
        let (last, captured, clock) = (event.last, event.captured.clone(), event.clock.clone());
        match (driver.streams[stream].capture, captured) {
            (Some(capture), _) if driver.captures[capture].broken => {
                return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
            }
            (Some(capture), Some((other, nodes))) if capture == other => {
                driver.streams[stream].tail.extend(nodes);
            }
            (Some(_), None) if last.is_none() => {}
            (Some(capture), _) => {
                driver.captures[capture].broken = true;
                let text = "a stream that is capturing waits for an event that its capture did not record";
                driver.reports.report("CAPTURE", text);
                return Err(ERROR_STREAM_CAPTURE_ISOLATION);
            }
            (None, Some((capture, _))) if !driver.captures[capture].open => return Err(ERROR_CAPTURED_EVENT),
            (None, Some((capture, nodes))) => {
                // The wait draws this stream into the capture.
                let lane = driver.captures[capture].lanes;
                driver.captures[capture].lanes += 1;
                let stream = &mut driver.streams[stream];
                (stream.capture, stream.tail, stream.lane) = (Some(capture), nodes, lane);
            }
            (None, None) => {
                if let Some(last) = last {
                    let mut wait = Operation::new("wait for an event".to_owned(), Kind::Mark, Vec::new());
                    wait.clock = clock;
                    driver.enqueue(stream, wait, &[last]);
                }
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: i32) -> Code {
    call("cuStreamBeginCapture_v2", Needs::Context, |driver| {
        let device = driver.device()?;
        let stream = driver.stream(stream, "cuStreamBeginCapture_v2")?;
        if stream == driver.devices[device].legacy {
            return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if driver.streams[stream].capture.is_some() || !(0..=2).contains(&mode) {
            return Err(ERROR_INVALID_VALUE);
        }
        let thread = std::thread::current().id();
        let nodes = Vec::new();
        driver.captures.push(Capture {
            mode,
            thread,
            origin: stream,
            lanes: 1,
            broken: false,
            open: true,
            nodes,
        });
        let capture = Some(driver.captures.len() - 1);
        let stream = &mut driver.streams[stream];
        (stream.capture, stream.tail, stream.lane) = (capture, BTreeSet::new(), 0);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: *mut i32) -> Code {
    call("cuStreamIsCapturing", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuStreamIsCapturing")?;
        let capture = driver.streams[stream].capture.map(|capture| driver.captures[capture].broken);
        // SAFETY: a pointer for a result.
        unsafe { store(status, capture.map_or(0, |broken| if broken { 2 } else { 1 })) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) -> Code {
    call("cuStreamEndCapture", Needs::Context, |driver| {
        // SAFETY: a pointer for a result.
        unsafe { store(graph, 0) }?;
        let device = driver.device()?;
        let stream = driver.stream(stream, "cuStreamEndCapture")?;
        let number = driver.streams[stream].capture.ok_or(ERROR_INVALID_VALUE)?;
        let capture = &mut driver.captures[number];
        if capture.origin != stream {
            return Err(ERROR_STREAM_CAPTURE_UNMATCHED);
        }
        let (broken, lanes) = (capture.broken, capture.lanes);
        let nodes = std::mem::take(&mut capture.nodes);
        capture.open = false;
        let mut joined = driver.streams[stream].tail.clone();
        // Nodes follow earlier ones only, so one pass from the end finds everything that the last ones need.
        for index in (0..nodes.len()).rev() {
            if joined.contains(&index) {
                joined.extend(&nodes[index].after);
            }
        }
        for other in &mut driver.streams {
            if other.capture == Some(number) {
                other.capture = None;
                other.tail.clear();
            }
        }
        if broken {
            return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        if joined.len() != nodes.len() {
            driver.reports.report("CAPTURE", "a stream was drawn into the capture and did not come back");
            return Err(ERROR_STREAM_CAPTURE_UNJOINED);
        }
        let what = format!("graph of {} nodes", nodes.len());
        let handle = driver.add(Object::Graph(Graph { nodes, lanes }), device, what);
        // SAFETY: a pointer for a result.
        unsafe { store(graph, handle) }
    })
}
