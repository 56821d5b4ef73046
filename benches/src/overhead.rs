//! What the engine costs: one request on an idle engine beside a bare call of the backend, and many callers beside
//! the backend's own batches. In turns, so that both see the same machine.

use crate::stub::Stub;
use crate::{Options, Outcome};
use libvision::backend::{Backend, CompileOptions, registry};
use libvision::engine::{Engine, EngineOptions, RequestOptions, Task};
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
    let cpu = registry::open("cpu")?.backend;
    let outputs = 114;
    let (launch, image) = (Duration::from_millis(2), Duration::from_micros(100));
    let stub: Arc<dyn Backend> = Arc::new(Stub { launch, image, outputs });
    for backend in [cpu, stub] {
        one(&model, &backend, options)?;
        many(&model, &backend, options)?;
    }
    Ok(())
}

fn engine_options(options: &Options, batch: usize) -> EngineOptions {
    EngineOptions { threads: options.threads, max_batch_size: batch, ..EngineOptions::default() }
}

fn bare(
    model: &Model,
    backend: &Arc<dyn Backend>,
    options: &Options,
    batch: usize,
) -> libvision::Result<measure::Runner> {
    let compile =
        CompileOptions { max_batch_size: batch, threads: options.threads, ..CompileOptions::default() };
    measure::Runner::new(model, &**backend, &compile)
}

/// The input of one image, as a caller has it.
fn input_of(runner: &mut measure::Runner) -> libvision::Result<(String, Tensor)> {
    let spec = runner.executable().inputs()[0].clone();
    let elements = runner.inputs_mut()[0][..spec.elements_per_image()].to_vec();
    Ok((spec.name.clone(), Tensor::new(&spec.shape_for(1), elements)?))
}

fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// One caller, who waits.
fn one(model: &Arc<Model>, backend: &Arc<dyn Backend>, options: &Options) -> Outcome {
    let mut runner = bare(model, backend, options, 1)?;
    let input = input_of(&mut runner)?;
    let engine = Engine::with_backend(
        Arc::clone(model),
        &engine_options(options, options.batch),
        Arc::clone(backend),
    )?;
    let task = RequestOptions { task: Task::Run, ..RequestOptions::default() };
    let (width, height) = (128, 128);
    let raw = RawPixels {
        width,
        height,
        format: PixelFormat::Rgb,
        row_stride: 3 * width,
        data: vec![128; 3 * width * height].into(),
    };
    let mut best: Option<[f64; 5]> = None;
    for _ in 0..ROUNDS {
        let (mut bare, mut tensors, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.runs.max(2) {
            bare.push(runner.run()?.as_secs_f64() * 1e6);
            let given = vec![input.clone()];
            let started = Instant::now();
            engine.submit_tensors(given, task)?.wait()?;
            tensors.push(started.elapsed().as_secs_f64() * 1e6);
            let picture = ImageSource::Pixels(raw.clone());
            let started = Instant::now();
            let timing = engine.classify(picture, RequestOptions::default())?.timing;
            let work = timing.decode + timing.preprocess + timing.compute + timing.postprocess;
            pictures.push((started.elapsed() - work).as_secs_f64() * 1e6);
        }
        let [bare_p50, bare_p99] = [0.5, 0.99].map(|share| quantile(&mut bare, share));
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut tensors, share));
        let found = [p50 - bare_p50, p99 - bare_p99, bare_p50, p50, quantile(&mut pictures, 0.5)];
        if best.is_none_or(|best| found[0] < best[0]) {
            best = Some(found);
        }
    }
    if let Some([more, more_p99, bare, engine, picture]) = best {
        println!(
            "{}: one request, {} threads: bare {bare:.1} us, engine {engine:.1} us, {more:.1} us more (p99 \
             {more_p99:.1}); a picture waits {picture:.1} us beside decoding, preprocessing and computing",
            backend.name(),
            options.threads,
        );
    }
    Ok(())
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

/// Answers per second.
fn serve(engine: &Engine, input: &(String, Tensor), period: Duration) -> libvision::Result<f64> {
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
                    Ok(())
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
