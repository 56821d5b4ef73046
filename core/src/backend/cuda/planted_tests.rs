//! Mistakes with streams, events, pools and graphs, made on purpose with the parts of this backend: the software
//! driver reports each, in a process of its own. Without it there is nothing to see, and the test says so.

use super::device::Device;
use super::device_pool::{DeviceBuffer, Ledger};
use super::event::Event;
use super::graph_capture::Graph;
use super::module_cache::ModuleCache;
use super::pinned_pool::{Direction, PinnedPool};
use super::probe;
use super::stream::Stream;
use crate::error::Result;
use cudarc::driver::{result, sys};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::window::{Operation, Pair};
use libvision_kernels::epilogue::Activation;
use std::process::Command;
use std::sync::Arc;

const BYTES: usize = 4096;
/// Tells the child from the test, and which mistake to make.
const PLANTED: &str = "LIBVISION_TEST_PLANTED";

/// What every scenario has: two streams, a buffer that has been written, and pinned memory of both kinds.
struct Scene {
    streams: [Stream; 2],
    buffer: DeviceBuffer,
    uploads: PinnedPool,
    downloads: PinnedPool,
    device: Arc<Device>,
}

impl Scene {
    fn new() -> Result<Self> {
        let device = Device::open(0, Ledger::new(None))?;
        let streams = [Stream::new(&device)?, Stream::new(&device)?];
        let buffer = DeviceBuffer::new(&device, BYTES, "a tensor")?;
        streams[0].write(&buffer, &[1; BYTES])?;
        Ok(Self {
            uploads: PinnedPool::new(&device, Direction::Upload, &[BYTES])?,
            downloads: PinnedPool::new(&device, Direction::Download, &[BYTES])?,
            streams,
            buffer,
            device,
        })
    }

    fn upload(&self, stream: usize) -> Result<()> {
        // SAFETY: the buffer has room. What follows is the mistake under test.
        unsafe { self.streams[stream].upload(self.buffer.address(), (&self.uploads, 0), 0..BYTES) }
    }

    fn download(&self, stream: usize) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.streams[stream].download(self.buffer.address(), (&self.downloads, 0), BYTES) }
    }

    /// Adds two tensors of as many elements on the first stream.
    fn add(&self, elements: usize, to: u64) -> Result<()> {
        let modules = ModuleCache::new(&self.device);
        let from = self.buffer.address();
        let (operation, activation) = (Operation::Add, Activation::Identity);
        let (channels, pixels, element) = (8, elements / 8, Element::F16);
        let sum = Pair { operation, channels, pixels, right_is_whole: true, element, activation };
        let launch = sum.launch(1, [from, from], to)?;
        let kernel = modules.kernel(launch.entry_point)?;
        // SAFETY: none; that is the mistake under test.
        unsafe { self.streams[0].launch(&kernel, &launch) }?;
        self.streams[0].synchronize()
    }
}

type Mistake = fn(&mut Scene) -> Result<()>;

/// Name, what the driver calls it, and the mistake. The first is none.
const MISTAKES: &[(&str, &str, Mistake)] = &[
    ("none", "", |scene| {
        scene.upload(0)?;
        scene.download(0)?;
        scene.streams[0].synchronize()?;
        // SAFETY: waited for.
        assert_eq!(unsafe { scene.downloads.read(0) }, [0; BYTES]);
        let sum = DeviceBuffer::new(&scene.device, BYTES, "a sum")?;
        scene.add(BYTES / 2, sum.address())
    }),
    ("results read before the copy is waited for", "HOST RACE", |scene| {
        scene.download(0)?;
        // SAFETY: none; that is the mistake.
        std::hint::black_box(unsafe { scene.downloads.read(0) }.iter().map(|b| u32::from(*b)).sum::<u32>());
        scene.streams[0].synchronize()
    }),
    ("a staging slot written again while it is copied", "HOST RACE", |scene| {
        scene.upload(0)?;
        // SAFETY: none; that is the mistake.
        unsafe { scene.uploads.write(0) }.fill(7);
        scene.streams[0].synchronize()
    }),
    ("the wrong stream waited for", "HOST RACE", |scene| {
        scene.download(0)?;
        scene.streams[1].synchronize()?;
        // SAFETY: none; that is the mistake.
        std::hint::black_box(unsafe { scene.downloads.read(0) }[0]);
        scene.streams[0].synchronize()
    }),
    ("two streams write one tensor", "DEVICE RACE", |scene| {
        scene.upload(0)?;
        scene.upload(1)?;
        scene.streams.iter().try_for_each(Stream::synchronize)
    }),
    ("one stream reads what another writes", "DEVICE RACE", |scene| {
        scene.upload(0)?;
        scene.download(1)?;
        scene.streams.iter().try_for_each(Stream::synchronize)
    }),
    ("an event recorded before the work it stands for", "HOST RACE", |scene| {
        let event = Event::new(&scene.device)?;
        event.record(&scene.streams[0])?;
        scene.download(0)?;
        event.synchronize()?;
        // SAFETY: none; that is the mistake.
        std::hint::black_box(unsafe { scene.downloads.read(0) }[0]);
        scene.streams[0].synchronize()
    }),
    ("device memory freed while a copy uses it", "FREED IN USE", |scene| {
        scene.upload(0)?;
        scene.buffer = DeviceBuffer::new(&scene.device, BYTES, "another tensor")?;
        scene.streams[0].synchronize()
    }),
    ("pinned memory freed while a copy uses it", "FREED IN USE", |scene| {
        scene.download(0)?;
        scene.downloads = PinnedPool::new(&scene.device, Direction::Download, &[BYTES])?;
        scene.streams[0].synchronize()
    }),
    ("results copied to write-combined memory", "MISUSE", |scene| {
        // SAFETY: the slot has room and is not read.
        unsafe { scene.streams[0].download(scene.buffer.address(), (&scene.uploads, 0), BYTES) }?;
        scene.streams[0].synchronize()
    }),
    ("a graph recorded with memory that is gone", "USE AFTER FREE", |scene| {
        // SAFETY: the memory is freed below; that is the mistake.
        let graph = unsafe { Graph::record(&scene.streams[0], || scene.upload(0)) }?;
        scene.buffer = DeviceBuffer::new(&scene.device, BYTES, "another tensor")?;
        // SAFETY: none.
        unsafe { graph.launch(&scene.streams[0]) }?;
        scene.streams[0].synchronize()
    }),
    ("memory taken while a stream records", "CAPTURE", |scene| {
        // SAFETY: nothing that is recorded is launched.
        let graph = unsafe {
            Graph::record(&scene.streams[0], || {
                scene.upload(0)?;
                DeviceBuffer::new(&scene.device, BYTES, "workspace").map(drop)
            })
        };
        graph.map(drop)
    }),
    ("a kernel told of more than there is", "BOUNDS", |scene| {
        let sum = DeviceBuffer::new(&scene.device, BYTES, "a sum")?;
        scene.add(BYTES, sum.address())
    }),
    ("a kernel reads what nobody wrote", "UNWRITTEN", |scene| {
        scene.buffer = DeviceBuffer::new(&scene.device, BYTES, "an unwritten tensor")?;
        let sum = DeviceBuffer::new(&scene.device, BYTES, "a sum")?;
        scene.add(BYTES / 2, sum.address())
    }),
    ("memory that is never given back", "LEAK", |scene| {
        scene.device.bind()?;
        // SAFETY: the length is not zero.
        let taken = scene.device.check("taking memory", unsafe { result::malloc_sync(BYTES) })?;
        std::hint::black_box(taken);
        Ok(())
    }),
    ("a call on a thread without the context", "MISUSE", |scene| {
        let stream = scene.streams[0].raw() as usize;
        let waiting = std::thread::spawn(move || {
            // SAFETY: the stream lives.
            unsafe { result::stream::synchronize(stream as sys::CUstream) }.is_ok()
        });
        assert!(matches!(waiting.join(), Ok(false)));
        Ok(())
    }),
];

#[test]
fn planted_child() {
    let Some(planted) = std::env::var(PLANTED).ok().and_then(|number| number.parse::<usize>().ok()) else {
        return;
    };
    let mut scene = Scene::new().expect("a device");
    // Some mistakes end in an error, others in nothing; what counts is the report.
    let _ = MISTAKES[planted].2(&mut scene);
}

#[test]
fn every_planted_mistake_is_reported() {
    if std::env::var_os(PLANTED).is_some() {
        return;
    }
    match probe::device(0) {
        Ok(facts) if facts.name.contains("Software") => {}
        _ => return eprintln!("SKIPPED: there is no software driver here; see `cargo xtask software-gpu`"),
    }
    let mut wrong = Vec::new();
    for (number, (name, kind, _)) in MISTAKES.iter().enumerate() {
        let mut child = Command::new(std::env::current_exe().expect("a path"));
        child.args(["--exact", "backend::cuda::planted_tests::planted_child", "--nocapture"]);
        child.env(PLANTED, number.to_string()).env_remove("LIBVISION_SWCUDA_REPORTS");
        for seed in ["1", "2", "3"] {
            let output = child.env("LIBVISION_SWCUDA_SEED", seed).output().expect("a child");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_reported = said.contains("SWCUDA");
            if is_reported == kind.is_empty() || !said.contains(kind) {
                wrong.push(format!("{name}, seed {seed}: expected {kind:?}, found {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
