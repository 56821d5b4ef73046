//! What the engine costs: one request on an idle engine beside a bare call of the backend, and many callers beside
//! the backend's own batches. In turns, so that both see the same machine.

use crate::stub::Stub;
use crate::{Options, Outcome, bare};
use libvision::backend::{Backend, registry};
use libvision::engine::{Engine, EngineOptions, RequestOptions, Task};
use libvision::model::Golden;
use libvision::{ImageSource, Model, PixelFormat, RawPixels, Tensor, measure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Measured so many times; the best counts.
const ROUNDS: usize = 3;

/// Callers that each wait for an answer before they ask again.
const CALLERS: usize = 64;

/// Prints one line for each measurement, of the CPU backend and of a stub that takes 2 ms and 0.1 ms an image.
pub fn run(options: &Options) -> Outcome {
    let model = Arc::new(Model::load(&options.model)?);
    // The stub computes something else than the model's golden.json says.
    let unproven = Golden::new(0.1, Vec::new())?;
    let for_stub = Arc::new(Model::load(&options.model)?.with_golden(unproven));
    let cpu = registry::open("cpu")?.backend;
    let outputs = 114;
    let (launch, image) = (Duration::from_millis(2), Duration::from_micros(100));
    let stub: Arc<dyn Backend> = Arc::new(Stub { launch, image, outputs });
    for (model, backend) in [(model, cpu), (for_stub, stub)] {
        one(&model, &backend, options)?;
        many(&model, &backend, options)?;
    }
    Ok(())
}

/// How an engine runs that is measured.
pub fn engine_options(options: &Options, batch: usize) -> EngineOptions {
    EngineOptions { threads: options.threads, max_batch_size: batch, ..EngineOptions::default() }
}

/// The input of one image, as a caller has it.
pub fn input_of(runner: &mut measure::Runner) -> libvision::Result<(String, Tensor)> {
    let spec = runner.executable().inputs()[0].clone();
    let elements = runner.inputs_mut()[0][..spec.elements_per_image()].to_vec();
    Ok((spec.name.clone(), Tensor::new(&spec.shape_for(1), elements)?))
}

/// NaN of none.
pub fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    if times.is_empty() {
        return f64::NAN;
    }
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// How one caller asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As soon as the answer is there.
    AtOnce,
    /// After everything has fallen asleep.
    AfterAPause,
}

/// Calls in a row before the other side has its turn.
const TURN: usize = 20;

const PAUSE: Duration = Duration::from_millis(3);

/// One caller, who waits.
fn one(model: &Arc<Model>, backend: &Arc<dyn Backend>, options: &Options) -> Outcome {
    let mut runner = bare(model, backend, options, 1)?;
    let input = input_of(&mut runner)?;
    let engine = Engine::with_backend(
        Arc::clone(model),
        &engine_options(options, options.batch),
        Arc::clone(backend),
    )?;
    for pace in [Pace::AtOnce, Pace::AfterAPause] {
        let mut best: Option<Single> = None;
        for _ in 0..ROUNDS {
            let found = Single::measure(&mut runner, &engine, &input, pace, options.runs)?;
            if best.as_ref().is_none_or(|best| found.more < best.more) {
                best = Some(found);
            }
        }
        if let Some(best) = best {
            best.print(backend.name(), options, pace);
        }
    }
    Ok(())
}

/// Microseconds, each the median unless it says otherwise.
struct Single {
    bare: f64,
    engine: f64,
    more: f64,
    more_p99: f64,
    /// Of the engine: copying the tensor, until the worker runs, until the caller runs.
    copy: f64,
    to_worker: f64,
    to_caller: f64,
    /// A picture, beside decoding, preprocessing, computing and ranking.
    picture: f64,
}

impl Single {
    fn measure(
        runner: &mut measure::Runner,
        engine: &Engine,
        input: &(String, Tensor),
        pace: Pace,
        runs: usize,
    ) -> libvision::Result<Self> {
        let task = RequestOptions { task: Task::Run, ..RequestOptions::default() };
        let pause = || {
            if pace == Pace::AfterAPause {
                std::thread::sleep(PAUSE);
            }
        };
        let (mut bare, mut tensors, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        let (mut copy, mut to_worker, mut to_caller) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs.div_ceil(TURN) {
            // The first call of a turn finds the caches full of the other side's.
            for call in 0..=TURN {
                pause();
                let took = runner.run()?.as_secs_f64() * 1e6;
                bare.extend((call > 0).then_some(took));
            }
            for call in 0..=TURN {
                pause();
                let given = vec![input.clone()];
                let started = Instant::now();
                let timing = engine.submit_tensors(given, task)?.wait()?.timing;
                let took = started.elapsed();
                if call > 0 {
                    tensors.push(took.as_secs_f64() * 1e6);
                    copy.push(timing.preprocess.as_secs_f64() * 1e6);
                    to_worker.push(timing.batch_wait.as_secs_f64() * 1e6);
                    to_caller.push(took.saturating_sub(timing.total).as_secs_f64() * 1e6);
                }
            }
            for call in 0..=TURN / 4 {
                pause();
                let picture = ImageSource::Pixels(grey_picture());
                let started = Instant::now();
                let timing = engine.classify(picture, RequestOptions::default())?.timing;
                let work = timing.decode + timing.preprocess + timing.compute + timing.postprocess;
                let waited = started.elapsed().saturating_sub(work).as_secs_f64() * 1e6;
                pictures.extend((call > 0).then_some(waited));
            }
        }
        let bare_p99 = quantile(&mut bare, 0.99);
        let (bare, engine) = (quantile(&mut bare, 0.5), quantile(&mut tensors, 0.5));
        Ok(Self {
            bare,
            engine,
            more: engine - bare,
            more_p99: quantile(&mut tensors, 0.99) - bare_p99,
            copy: quantile(&mut copy, 0.5),
            to_worker: quantile(&mut to_worker, 0.5),
            to_caller: quantile(&mut to_caller, 0.5),
            picture: quantile(&mut pictures, 0.5),
        })
    }

    fn print(&self, backend: &str, options: &Options, pace: Pace) {
        let Self { bare, engine, more, more_p99, copy, to_worker, to_caller, picture } = self;
        let pace = if pace == Pace::AtOnce { "at once" } else { "after a pause" };
        println!(
            "{backend}: one request {pace}, {} threads: bare {bare:.1} us, engine {engine:.1} us: {more:.1} us more \
             (p99 {more_p99:.1}), of which copy {copy:.1}, to the worker {to_worker:.1}, from the answer to the caller \
             {to_caller:.1}; a picture waits {picture:.1} us beside decoding, preprocessing and computing",
            options.threads
        );
    }
}

fn grey_picture() -> RawPixels {
    let (width, height) = (128, 128);
    RawPixels {
        width,
        height,
        format: PixelFormat::Rgb,
        row_stride: 3 * width,
        data: vec![128; 3 * width * height].into(),
    }
}

/// Many callers, who each wait.
fn many(model: &Arc<Model>, backend: &Arc<dyn Backend>, options: &Options) -> Outcome {
    let batch = options.batch;
    let mut runner = bare(model, backend, options, batch)?;
    let input = input_of(&mut runner)?;
    let engine =
        Engine::with_backend(Arc::clone(model), &engine_options(options, batch), Arc::clone(backend))?;
    let period = Duration::from_millis(10 * options.runs as u64).min(Duration::from_secs(4));
    let (mut alone, mut served) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let (started, mut images) = (Instant::now(), 0);
        while images == 0 || started.elapsed() < period {
            runner.run()?;
            images += batch;
        }
        alone = alone.max(images as f64 / started.elapsed().as_secs_f64());
        served = served.max(serve(&engine, &input, period)?);
    }
    let metrics = engine.metrics();
    println!(
        "{}: {CALLERS} callers, batches of {batch}, {} threads: bare {alone:.1} images/s, engine {served:.1}, \
         {:.2} %; {:.2} images a batch",
        backend.name(),
        options.threads,
        100.0 * served / alone,
        metrics.counters.images as f64 / metrics.counters.runs as f64,
    );
    Ok(())
}

/// Answers per second with many callers who each wait.
pub fn serve(engine: &Engine, input: &(String, Tensor), period: Duration) -> libvision::Result<f64> {
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let task = RequestOptions { task: Task::Run, ..RequestOptions::default() };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        engine.submit_tensors(vec![input.clone()], task)?.wait()?;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    libvision::Result::Ok(())
                })
            })
            .collect();
        // Until all take turns.
        std::thread::sleep(period / 8);
        let (started, before) = (Instant::now(), answers.load(Ordering::Relaxed));
        std::thread::sleep(period);
        let count = answers.load(Ordering::Relaxed) - before;
        let rate = count as f64 / started.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().try_for_each(|caller| caller.join().expect("a caller does not panic"))?;
        Ok(rate)
    })
}
