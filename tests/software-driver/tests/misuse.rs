//! Mistakes that people make with streams, events, graphs and memory: each is reported under every seed, and a
//! program without mistakes never is.

mod support;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cudarc::driver::result;
use support::session::{BYTES, LENGTH, Session, sum};
use support::{installed, run, scenario};

/// A mistake, and the kind of report that names it.
const MISTAKES: &[(&str, &str)] = &[
    ("result read without a wait", "HOST RACE"),
    ("slot written before its upload was waited for", "HOST RACE"),
    ("event recorded before the download", "HOST RACE"),
    ("event of another stream", "HOST RACE"),
    ("slot written while a graph reads it", "HOST RACE"),
    ("kernel on another stream than its uploads", "DEVICE RACE"),
    ("download on another stream than the kernel", "DEVICE RACE"),
    ("event recorded before the last upload", "DEVICE RACE"),
    ("two graphs on one range", "DEVICE RACE"),
    ("event recorded again before its wait", "DEVICE RACE"),
    ("graph holds a freed tensor", "USE AFTER FREE"),
    ("tensor freed while the kernel uses it", "FREED IN USE"),
    ("slot freed while a copy uses it", "FREED IN USE"),
    ("copy longer than the tensor", "BOUNDS"),
    ("copy to a freed tensor", "BOUNDS"),
    ("kernel over more than the tensors", "BOUNDS"),
    ("host address where a device address belongs", "BOUNDS"),
    ("result and operand exchanged", "UNWRITTEN"),
    ("operand never uploaded", "UNWRITTEN"),
    ("result over an operand", "KERNEL FAULT"),
    ("block of another size", "LAUNCH"),
    ("synchronised inside a capture", "CAPTURE"),
    ("allocated inside a capture", "CAPTURE"),
    ("pageable memory in a graph", "CAPTURE"),
    ("tensor freed twice", "BAD FREE"),
    ("tensor never freed", "LEAK"),
    ("stream never destroyed", "LEAK"),
    ("nobody waits", "UNFINISHED"),
    ("destroyed stream used", "MISUSE"),
    ("result in write-combined memory", "MISUSE"),
];

const CONTROLS: &[&str] =
    &["one stream", "two streams", "graph", "two graphs in turns", "slots in turns", "two threads"];

fn play(scenario: &str) -> Result<()> {
    let s = Session::open()?;
    s.set(0, 1.0);
    s.set(1, 2.0);
    let both = |stream: usize| s.upload(0, stream).and_then(|()| s.upload(1, stream));
    match scenario {
        "one stream" => s.once(3.0, 4.0)?,
        "two streams" => {
            both(1)?;
            s.record(1)?;
            s.stream_waits(0)?;
            s.add(0)?;
            s.download(0)?;
            s.record(0)?;
            s.wait_for_event()?;
            ensure!(s.sums(1.0, 2.0), "wrong sums");
        }
        "graph" => {
            let graph = s.capture(Session::queue_all)?;
            for value in [5.0, 6.0, 7.0] {
                s.set(0, value);
                s.launch_graph(graph, 0)?;
                s.synchronize(0)?;
                ensure!(s.sums(value, 2.0), "wrong sums");
            }
            s.destroy_graph(graph)?;
        }
        "two graphs in turns" => {
            let graphs = [s.capture(Session::queue_all)?, s.capture(Session::queue_all)?];
            for turn in 0..4 {
                s.launch_graph(graphs[turn % 2], 0)?;
            }
            s.launch_graph(graphs[0], 0)?;
            s.record(0)?;
            s.stream_waits(1)?;
            s.launch_graph(graphs[1], 1)?;
            s.synchronize(1)?;
            ensure!(s.sums(1.0, 2.0), "wrong sums");
            for graph in graphs {
                s.destroy_graph(graph)?;
            }
        }
        "slots in turns" => {
            for value in [1.0, 2.0, 3.0, 4.0] {
                s.once(value, 2.0)?;
            }
        }
        "two threads" => {
            let life = || -> Result<()> {
                let s = Session::open()?;
                for value in [1.0, 2.0, 3.0] {
                    s.once(value, 2.0)?;
                }
                s.close()
            };
            std::thread::scope(|scope| {
                let other = scope.spawn(life);
                life()?;
                other.join().map_err(|_| anyhow!("a thread panicked"))?
            })?;
        }
        "result read without a wait" => {
            s.queue_all()?;
            s.sums(1.0, 2.0);
        }
        "slot written before its upload was waited for" => {
            s.upload(0, 0)?;
            s.set(0, 9.0);
        }
        "event recorded before the download" => {
            both(0)?;
            s.add(0)?;
            s.record(0)?;
            s.download(0)?;
            s.wait_for_event()?;
            s.sums(1.0, 2.0);
        }
        "event of another stream" => {
            s.queue_all()?;
            s.record(1)?;
            s.wait_for_event()?;
            s.sums(1.0, 2.0);
        }
        "slot written while a graph reads it" => {
            let graph = s.capture(Session::queue_all)?;
            s.launch_graph(graph, 0)?;
            s.set(1, 9.0);
            s.synchronize(0)?;
            s.destroy_graph(graph)?;
        }
        "kernel on another stream than its uploads" => {
            both(1)?;
            s.add(0)?;
        }
        "download on another stream than the kernel" => {
            both(0)?;
            s.add(0)?;
            s.download(1)?;
        }
        "event recorded before the last upload" => {
            s.upload(0, 1)?;
            s.record(1)?;
            s.upload(1, 1)?;
            s.stream_waits(0)?;
            s.add(0)?;
        }
        "two graphs on one range" => {
            let graphs = [s.capture(Session::queue_all)?, s.capture(Session::queue_all)?];
            s.launch_graph(graphs[0], 0)?;
            s.launch_graph(graphs[1], 1)?;
            s.synchronize(0)?;
            s.synchronize(1)?;
            for graph in graphs {
                s.destroy_graph(graph)?;
            }
        }
        "event recorded again before its wait" => {
            both(1)?;
            s.record(1)?;
            s.record(0)?;
            s.stream_waits(0)?;
            s.add(0)?;
        }
        "graph holds a freed tensor" => {
            let graph = s.capture(Session::queue_all)?;
            s.free_tensor(1)?;
            let _ = s.launch_graph(graph, 0);
        }
        "tensor freed while the kernel uses it" => {
            both(0)?;
            s.add(0)?;
            s.free_tensor(0)?;
        }
        "slot freed while a copy uses it" => {
            s.upload(0, 0)?;
            // SAFETY: the mistake; the driver waits before it frees.
            unsafe { result::free_host(s.host[0].cast())? };
        }
        "copy longer than the tensor" => {
            let _ = s.upload_bytes(0, 0, BYTES + 4);
        }
        "copy to a freed tensor" => {
            s.free_tensor(0)?;
            let _ = s.upload(0, 0);
        }
        "kernel over more than the tensors" => {
            both(0)?;
            s.add_of(0, LENGTH + 8, s.tensors)?;
        }
        "host address where a device address belongs" => {
            let _ = s.add_of(0, LENGTH, [s.host[0] as u64, s.tensors[1], s.tensors[2]]);
        }
        "result and operand exchanged" => {
            both(0)?;
            s.add_of(0, LENGTH, [s.tensors[2], s.tensors[1], s.tensors[0]])?;
        }
        "operand never uploaded" => {
            s.upload(0, 0)?;
            s.add(0)?;
        }
        "result over an operand" => {
            both(0)?;
            s.add_of(0, LENGTH, [s.tensors[0], s.tensors[1], s.tensors[1]])?;
            let _ = s.synchronize(0);
        }
        "block of another size" => {
            let [a, b, c] = s.tensors;
            let launch = sum(LENGTH, [a, b], c)?;
            let _ = s.launch(0, &launch, launch.threads / 2);
        }
        "synchronised inside a capture" => {
            let _ = s.capture(|s| s.upload(0, 0).and_then(|()| s.synchronize(0)));
        }
        "allocated inside a capture" => {
            // SAFETY: the size is not zero.
            let _ = s.capture(|_| unsafe { result::malloc_sync(16).map(drop).map_err(Into::into) });
        }
        "pageable memory in a graph" => {
            let mut pageable = vec![0.0_f32; LENGTH];
            let graph = s.capture(|s| s.download_to(pageable.as_mut_ptr(), 0))?;
            s.destroy_graph(graph)?;
        }
        "tensor freed twice" => {
            s.free_tensor(0)?;
            let _ = s.free_tensor(0);
        }
        "tensor never freed" => {
            s.close_but_memory()?;
            s.free_tensor(0)?;
            s.free_tensor(1)?;
            return s.release();
        }
        "stream never destroyed" => {
            result::stream::create(result::stream::StreamKind::NonBlocking)?;
            return s.close();
        }
        "nobody waits" => {
            both(0)?;
            return Ok(());
        }
        "destroyed stream used" => {
            // SAFETY: the mistake; the driver knows the handle no more.
            unsafe { result::stream::destroy(s.streams[1])? };
            let _ = s.upload(0, 1);
        }
        "result in write-combined memory" => {
            both(0)?;
            s.add(0)?;
            s.download_to(s.host[1], 0)?;
        }
        "device memory read by the host" => {
            // SAFETY: the mistake; the process ends here.
            unsafe { (s.tensors[0] as *const f32).read_volatile() };
        }
        other => bail!("no scenario {other}"),
    }
    if CONTROLS.contains(&scenario) {
        return s.close();
    }
    // What is left to free differs from mistake to mistake.
    let _ = s.close();
    Ok(())
}

/// Started by the tests below; does nothing among them.
#[test]
fn program() -> Result<()> {
    scenario().map_or(Ok(()), |scenario| play(&scenario))
}

#[test]
fn every_mistake_is_reported_under_every_seed() -> Result<()> {
    let driver = installed()?;
    for (mistake, kind) in MISTAKES {
        for seed in 1..=6 {
            let (status, text) = run(driver.path(), mistake, &[("SEED", seed.to_string())])?;
            ensure!(status == Some(86), "{mistake}, seed {seed}: ended with {status:?}\n{text}");
            let found = text.lines().any(|line| line.starts_with(&format!("SWCUDA {kind}: ")));
            ensure!(found, "{mistake}, seed {seed}: no {kind} in\n{text}");
        }
    }
    Ok(())
}

#[test]
fn programs_without_a_mistake_are_left_alone() -> Result<()> {
    let driver = installed()?;
    for control in CONTROLS {
        for seed in 1..=20 {
            let (status, text) = run(driver.path(), control, &[("SEED", seed.to_string())])
                .with_context(|| control.to_string())?;
            ensure!(status == Some(0), "{control}, seed {seed}: ended with {status:?}\n{text}");
            ensure!(!text.contains("SWCUDA"), "{control}, seed {seed}:\n{text}");
        }
    }
    Ok(())
}

/// The host touches device memory: reported, then the program ends as it would on a real driver.
#[test]
fn device_memory_is_not_the_hosts() -> Result<()> {
    let driver = installed()?;
    let (status, text) = run(driver.path(), "device memory read by the host", &[])?;
    ensure!(status != Some(0) && status != Some(86), "{status:?}");
    ensure!(text.contains("SWCUDA HOST ACCESS: the host reads byte 0 of device memory"), "{text}");
    Ok(())
}
