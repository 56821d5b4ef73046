//! Graphs that captures made. A launch queues the nodes in streams of the executable graph's own.

use crate::codes::*;
use crate::driver::{Needs, call, store};
use crate::lock::Guard;
use crate::objects::{Executable, Graph, Handle, Object};
use crate::operation::{Kind, Operation};

fn graph(driver: &mut Guard, handle: Handle, call: &str) -> Outcome<Graph> {
    match &driver.entry(handle, call)?.object {
        Object::Graph(graph) => Ok(graph.clone()),
        _ => Err(ERROR_INVALID_HANDLE),
    }
}

unsafe fn instantiate(name: &str, executable: *mut Handle, handle: Handle, flags: u64) -> Code {
    call(name, Needs::Context, |driver| {
        let device = driver.device()?;
        let graph = graph(driver, handle, name)?;
        if flags > 15 {
            return Err(ERROR_INVALID_VALUE);
        }
        let lanes = (0..graph.lanes).map(|_| driver.new_stream(device, false)).collect();
        let what = format!("executable graph of {} nodes", graph.nodes.len());
        let object = Object::Executable(Executable { graph, lanes, end: None });
        let made = driver.add(object, device, what);
        // SAFETY: a pointer for a result.
        unsafe { store(executable, made) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, flags: u64) -> Code {
    // SAFETY: the program's pointer, handed through.
    unsafe { instantiate("cuGraphInstantiateWithFlags", executable, graph, flags) }
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphUpload(executable: Handle, stream: Handle) -> Code {
    call("cuGraphUpload", Needs::Context, |driver| {
        driver.stream(stream, "cuGraphUpload")?;
        match driver.entry(executable, "cuGraphUpload")?.object {
            Object::Executable(_) => Ok(()),
            _ => Err(ERROR_INVALID_HANDLE),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> Code {
    call("cuGraphLaunch", Needs::Context, |driver| {
        let stream = driver.stream(stream, "cuGraphLaunch")?;
        super::memory::refuse_capture(driver, stream, "cuGraphLaunch")?;
        let Object::Executable(found) = &driver.entry(executable, "cuGraphLaunch")?.object else {
            return Err(ERROR_INVALID_HANDLE);
        };
        let (graph, lanes, end) = (found.graph.clone(), found.lanes.clone(), found.end.clone());
        let mark = |what: &str| Operation::new(what.to_owned(), Kind::Mark, Vec::new());
        // Launches of one executable graph come one after the other.
        let mut begin = mark("begin of a graph");
        let (end, clock) = end.unzip();
        begin.clock = clock.unwrap_or_default();
        let begin = driver.enqueue(stream, begin, end.as_slice());
        let mut numbers: Vec<u64> = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes {
            let mut operation = node.operation;
            operation.what.push_str(" of a graph");
            report_freed(driver, &operation);
            let mut after = vec![begin];
            after.extend(node.after.iter().map(|earlier| numbers[*earlier]));
            numbers.push(driver.enqueue(lanes[node.lane], operation, &after));
        }
        let end = driver.enqueue(stream, mark("end of a graph"), &numbers);
        let clock = driver.streams[stream].clock.clone();
        if let Object::Executable(found) = &mut driver.entry(executable, "cuGraphLaunch")?.object {
            found.end = Some((end, clock));
        }
        Ok(())
    })
}

/// What the graph holds may have been freed since it was captured. The node then faults when it runs.
fn report_freed(driver: &mut Guard, operation: &Operation) {
    let memory = driver.memory();
    let stale = operation.accesses.iter().filter_map(|access| memory.block(access.base));
    let stale: Vec<String> = stale.filter(|block| block.freed).map(|block| block.what.clone()).collect();
    for what in stale {
        let text = format!("{} uses {what}, which was freed after the capture", operation.what);
        driver.reports.report("USE AFTER FREE", &text);
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(executable: Handle) -> Code {
    call("cuGraphExecDestroy", Needs::Context, |driver| {
        match driver.entry(executable, "cuGraphExecDestroy")?.object {
            Object::Executable(_) => driver.remove(executable).map(drop).ok_or(ERROR_INVALID_HANDLE),
            _ => Err(ERROR_INVALID_HANDLE),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(handle: Handle) -> Code {
    call("cuGraphDestroy", Needs::Context, |driver| {
        graph(driver, handle, "cuGraphDestroy")?;
        driver.remove(handle).map(drop).ok_or(ERROR_INVALID_HANDLE)
    })
}
