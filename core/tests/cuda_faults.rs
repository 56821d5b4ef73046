//! Failing calls of the driver under an engine: every call of a short life, with each of 12 codes. Nobody panics or
//! hangs, every request is answered once, what is called right is right, and everything is given back. Needs the
//! software driver (`cargo xtask software-gpu`), which fails the call it is told to.
#![cfg(feature = "cuda")]

#[path = "cuda_networks/mod.rs"]
mod networks;

use libvision::backend::cpu::CpuBackend;
use libvision::backend::{Backend, CompileOptions};
use libvision::image::Pixels;
use libvision::preprocess::{CpuPreprocessor, CropPolicy};
use libvision::{
    Engine, EngineOptions, Error, ErrorKind, Head, ImageSource, Model, PixelFormat, PreprocessSpec,
    RawPixels, RequestOptions, Task, Tensor,
};
use networks::{has_device, noise, small};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Codes that calls fail with; the first six leave the context as it was.
const CODES: [u32; 12] = [1, 2, 3, 4, 100, 101, 201, 214, 700, 702, 719, 999];
/// Tells the child from the tests, and which life is its.
const CHILD: &str = "LIBVISION_TEST_FAULT_CHILD";
const SHIPPED: &str = "shipped";
/// `1/1` tries everything; `1/7` every seventh, each time others.
const SHARE: &str = "LIBVISION_TEST_FAULTS";
/// The same for the shipped model, which is left out without it: a life takes seconds.
const SHIPPED_SHARE: &str = "LIBVISION_TEST_SHIPPED_FAULTS";
/// Far beyond what a life takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The software driver alone fails calls on demand.
fn has_software_driver() -> bool {
    has_device()
        && match libvision::backend::cuda::probe::device(0) {
            Ok(facts) => facts.name.contains("Software"),
            Err(_) => false,
        }
}

/// What a life serves.
struct Life {
    model: Model,
    max_batch_size: usize,
    /// Requests at a time, twice.
    requests: u32,
}

impl Life {
    /// Three layers.
    fn small() -> Result<Self, Error> {
        let crop = CropPolicy::Center { height: 12, width: 10 };
        let spec = PreprocessSpec { crop, ..PreprocessSpec::imagenet(12, 1) };
        let labels = (0..5).map(|label| label.to_string()).collect();
        let model = Model::from_graph("small", small(), spec, labels, Head::Softmax)?;
        Ok(Self { model, max_batch_size: 2, requests: 3 })
    }

    fn shipped() -> Result<Self, Error> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/model");
        Ok(Self { model: Model::load(folder)?, max_batch_size: 1, requests: 2 })
    }

    /// What it says in its last line.
    fn live(self) -> Result<String, Error> {
        let model = Arc::new(self.model);
        let on_cpu = CpuBackend::new().compile(model.graph(), &CompileOptions::default())?;
        let (x, classes) = (on_cpu.inputs()[0].clone(), on_cpu.outputs()[0].elements_per_image());
        let preprocessor = CpuPreprocessor::new(model.preprocess())?;
        let pixels = |seed: u32| {
            let bytes = noise(3 * 12 * 10, seed).into_iter().map(|x| (x * 127.0 + 128.0) as u8);
            Pixels { width: 10, height: 12, data: bytes.collect::<Vec<_>>().into() }
        };
        // Every other request is a picture.
        let is_picture = |seed: u32| !seed.is_multiple_of(2);
        let input = |seed: u32| {
            let mut input = noise(x.elements_per_image(), seed);
            if is_picture(seed) {
                preprocessor.run(&pixels(seed), &mut input).expect("preprocessed");
            }
            input
        };
        let mut context = Arc::clone(&on_cpu).new_context()?;
        let mut expected = |seed: u32| {
            let mut outputs: Vec<Vec<f32>> =
                on_cpu.outputs().iter().map(|output| vec![0.0; output.elements_per_image()]).collect();
            let mut parts: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            context.run(1, &[&input(seed)], &mut parts).expect("the CPU runs it");
            outputs.remove(0)
        };
        let options = EngineOptions {
            device: "cuda:0".into(),
            max_batch_size: self.max_batch_size,
            decode_threads: 1,
            max_queue_delay: Duration::from_millis(5),
            outage_patience: Duration::from_secs(5),
            stuck_after: PATIENCE,
            ..EngineOptions::default()
        };
        let engine = Engine::new(Arc::clone(&model), &options)?;
        let (mut right, mut failed) = (0, 0);
        let task = RequestOptions { task: Task::Run, ..RequestOptions::default() };
        for round in 0..2 {
            let submit = |seed: u32| {
                let pending = if is_picture(seed) {
                    let Pixels { width, height, data } = pixels(seed);
                    let (format, row_stride) = (PixelFormat::Rgb, 3 * width);
                    let raw = RawPixels { width, height, format, row_stride, data };
                    engine.submit(ImageSource::Pixels(raw), task)?
                } else {
                    let tensor = Tensor::new(&x.shape_for(1), input(seed))?;
                    engine.submit_tensors(vec![(x.name.clone(), tensor)], task)?
                };
                Ok::<_, Error>((seed, pending))
            };
            let pending: Vec<_> =
                (0..self.requests).map(|request| submit(round * 10 + request)).collect::<Result<_, _>>()?;
            for (seed, pending) in pending {
                match pending.wait() {
                    Ok(response) => {
                        let found = response.outputs[0].1.elements::<f32>()?;
                        let expected = expected(seed);
                        assert_eq!(found.len(), classes);
                        let largest =
                            expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                        let is_right =
                            expected.iter().zip(found.iter()).all(|(e, f)| (e - f).abs() <= 0.01 * largest);
                        assert!(is_right, "expected {expected:?}, found {found:?}");
                        right += 1;
                    }
                    Err(error) => {
                        assert_ne!(error.kind().name(), "", "a typed error");
                        failed += 1;
                    }
                }
            }
        }
        // Who is still rebuilding when the engine closes gives back what it has.
        engine.close();
        drop(engine);
        Ok(format!("{right} right, {failed} failed"))
    }
}

/// Waits for workers that were being rebuilt when their engine closed. It leaves them alone after a second, which is
/// less than an emulated device takes to prove itself; what they have is given back only when they end.
fn wait_for_workers() {
    let is_worker = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("libvision-worke"))
    };
    let started = Instant::now();
    let tasks =
        || std::fs::read_dir("/proc/self/task").expect("the software driver's system has it").flatten();
    while tasks().any(is_worker) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn fault_child() {
    if let Some(life) = std::env::var_os(CHILD) {
        let life = if life == SHIPPED { Life::shipped() } else { Life::small() };
        let said = life.and_then(Life::live);
        wait_for_workers();
        match said {
            Ok(said) => println!("DONE {said}"),
            Err(error) => println!("DONE {}: {error}", error.kind().name()),
        }
    }
}

/// Runs the child of this life with call number `call` failing.
fn run_child(life: &str, call: u64, code: u32) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", "fault_child", "--nocapture"]).env(CHILD, life);
    for (name, value) in [("FAIL_CALL", call), ("FAIL_CODE", u64::from(code)), ("STRICT", 1), ("SEED", call)]
    {
        command.env(format!("LIBVISION_SWCUDA_{name}"), value.to_string());
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("a child");
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if started.elapsed() > PATIENCE {
            // The assertion below names the call.
            let _ = child.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("its output")
}

/// Whether the child came through; what it said if not.
fn verdict(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    match out.lines().find_map(|line| line.split("DONE ").nth(1)) {
        Some(said) if output.status.success() && !err.contains("panicked") => Ok(said.to_owned()),
        _ => Err(format!("{}\n{out}\n{err}", output.status)),
    }
}

/// Every `step`-th call fails, each code's at others. `sound` is what a life without faults says.
fn sweep(life: &str, share: &str, sound: &str) {
    let step: u64 = share.strip_prefix("1/").and_then(|step| step.parse().ok()).expect("a share, 1/N");
    assert_eq!(verdict(&run_child(life, 0, 0)).expect("a life without faults"), sound);
    let (mut children, mut failures) = (0, Vec::new());
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for (index, code) in CODES.into_iter().enumerate() {
        for call in (1 + index as u64 % step..).step_by(step as usize) {
            let output = run_child(life, call, code);
            children += 1;
            match verdict(&output) {
                Ok(said) => *kinds.entry(said.split(':').next().unwrap_or_default().into()).or_default() += 1,
                Err(why) => failures.push(format!("call {call} with {code}: {why}")),
            }
            if !String::from_utf8_lossy(&output.stderr).contains("INJECTED") {
                break;
            }
        }
    }
    println!("{children} lives: {kinds:?}");
    assert!(failures.is_empty(), "{} of {children} lives:\n{}", failures.len(), failures.join("\n"));
    assert!(kinds.contains_key(ErrorKind::OutOfMemory.name()) && kinds.contains_key(sound), "{kinds:?}");
}

#[test]
fn every_call_may_fail_once_with_any_code() {
    if std::env::var_os(CHILD).is_some() || !has_software_driver() {
        return;
    }
    let share = std::env::var(SHARE).unwrap_or_else(|_| "1/5".into());
    sweep("small", &share, "6 right, 0 failed");
}

#[test]
fn calls_for_the_shipped_model_may_fail_too() {
    let share = std::env::var(SHIPPED_SHARE);
    match share {
        Ok(share) if std::env::var_os(CHILD).is_none() && has_software_driver() => {
            sweep(SHIPPED, &share, "4 right, 0 failed");
        }
        _ => println!("SKIPPED: the long form sets {SHIPPED_SHARE}"),
    }
}
