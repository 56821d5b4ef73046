//! Ten times what the engine can do, from callers that do not wait: what still comes out, how late, how quickly the
//! rest is refused, and how soon all is well again.

use crate::arrivals::Arrivals;
use crate::overhead::{engine_options, input_of, quantile, serve};
use crate::{Options, Outcome, bare};
use libvision::backend::registry;
use libvision::engine::{Engine, EngineOptions, RequestOptions, Task};
use libvision::{Model, Tensor};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Measured so many times; the best counts, by goodput.
const ROUNDS: usize = 3;

/// Times the capacity.
const OVERLOAD: f64 = 10.0;

/// Times the capacity: what an engine is meant to run at.
const NORMAL: f64 = 0.8;

/// Recovery is looked at in steps of this.
const STEP: Duration = Duration::from_millis(250);

/// Of one request: when it was submitted, counted from the start of its phase, and its answer.
#[derive(Clone, Copy)]
struct Sample {
    at: f64,
    took: f64,
    is_good: bool,
}

/// What happened to the requests of one phase.
#[derive(Default)]
struct Phase {
    accepted: Vec<Sample>,
    refused: Vec<f64>,
    seconds: f64,
    resident: f64,
}

/// One round: seconds and bytes, but for what is a rate or a share.
struct Round {
    peak: f64,
    goodput: f64,
    offered: f64,
    p99: f64,
    refusal_p99: f64,
    late: f64,
    memory: f64,
    recovery: f64,
    normal_p99: f64,
}

/// Prints what was measured, for people; with `json`, adds lines to that file.
pub fn run(options: &Options) -> Outcome {
    let model = Arc::new(Model::load(&options.model)?);
    let backend = registry::open("cpu")?.backend;
    let mut runner = bare(&model, &backend, options, 1)?;
    let input = input_of(&mut runner)?;
    let deadline = Duration::from_millis(options.deadline_ms);
    let engine_options = EngineOptions { threads: options.threads, ..engine_options(options, options.batch) };
    let engine = Engine::with_backend(model, &engine_options, backend)?;
    for arrivals in [Arrivals::Poisson, Arrivals::Bursts] {
        let rounds = (0..ROUNDS).map(|round| one_round(&engine, &input, arrivals, deadline, options, round));
        let rounds = rounds.collect::<libvision::Result<Vec<_>>>()?;
        let share = |round: &Round| round.goodput / round.peak;
        let Some(best) = rounds.iter().max_by(|a, b| share(a).total_cmp(&share(b))) else { return Ok(()) };
        let shares: Vec<String> = rounds.iter().map(|round| format!("{:.1}", 100.0 * share(round))).collect();
        let mut line = String::new();
        write!(
            line,
            "{}: peak {:.0}/s, offered {:.0}/s, goodput {:.0}/s = {:.1} % (rounds: {} %); accepted: p99 {:.1} ms of {} \
             ms allowed, {:.3} % late; refused within {:.3} ms (p99); memory {:.3} times; well again after {:.2} s \
             (p99 {:.1} ms at {NORMAL} of the peak)",
            arrivals.name(),
            best.peak,
            best.offered,
            best.goodput,
            100.0 * share(best),
            shares.join(", "),
            best.p99 * 1e3,
            options.deadline_ms,
            100.0 * best.late,
            best.refusal_p99 * 1e3,
            best.memory,
            best.recovery,
            best.normal_p99 * 1e3,
        )?;
        println!("{line}");
        if let Some(path) = &options.json {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            for round in &rounds {
                writeln!(
                    file,
                    "{{\"bench\":\"overload\",\"arrivals\":\"{}\",\"threads\":{},\"batch\":{},\"deadline_ms\":{},\
                     \"peak\":{:.1},\"offered\":{:.1},\"goodput\":{:.1},\"p99_ms\":{:.3},\"late\":{:.6},\
                     \"refusal_p99_ms\":{:.4},\"memory\":{:.4},\"recovery_s\":{:.2},\"normal_p99_ms\":{:.3}}}",
                    arrivals.name(),
                    options.threads,
                    options.batch,
                    options.deadline_ms,
                    round.peak,
                    round.offered,
                    round.goodput,
                    round.p99 * 1e3,
                    round.late,
                    round.refusal_p99 * 1e3,
                    round.memory,
                    round.recovery,
                    round.normal_p99 * 1e3,
                )?;
            }
        }
    }
    Ok(())
}

fn one_round(
    engine: &Engine,
    input: &(String, Tensor),
    arrivals: Arrivals,
    deadline: Duration,
    options: &Options,
    round: usize,
) -> libvision::Result<Round> {
    let period = Duration::from_millis(10 * options.runs as u64).min(Duration::from_secs(3));
    // Of a period in which nothing was answered, as a crowded machine can have, no rate could be made.
    let peak = serve(engine, input, period)?.max(1.0 / period.as_secs_f64());
    let seed = 100 * round as u64;
    let phase = |times: f64, seed: u64| drive(engine, input, arrivals, times * peak, period, deadline, seed);
    let normal = phase(NORMAL, seed);
    let over = phase(OVERLOAD, seed + 1);
    let after = phase(NORMAL, seed + 2);

    let normal_p99 = normal.p99(0.0, f64::INFINITY);
    let good = over.accepted.iter().filter(|sample| sample.is_good).count();
    let recovered = (0..(after.seconds / STEP.as_secs_f64()) as u32)
        .map(|step| f64::from(step) * STEP.as_secs_f64())
        .find(|&from| after.p99(from, from + STEP.as_secs_f64()) <= 1.2 * normal_p99);
    let mut refused = over.refused.clone();
    Ok(Round {
        peak,
        goodput: good as f64 / over.seconds,
        offered: (over.accepted.len() + over.refused.len()) as f64 / over.seconds,
        p99: over.p99(0.0, f64::INFINITY),
        refusal_p99: quantile(&mut refused, 0.99),
        late: (over.accepted.len() - good) as f64 / over.accepted.len().max(1) as f64,
        memory: over.resident / normal.resident,
        recovery: recovered.map_or(after.seconds, |from| from + STEP.as_secs_f64()),
        normal_p99,
    })
}

impl Phase {
    /// Of the requests submitted in a part of the phase.
    fn p99(&self, from: f64, to: f64) -> f64 {
        let inside = self.accepted.iter().filter(|sample| (from..to).contains(&sample.at));
        quantile(&mut inside.map(|sample| sample.took).collect::<Vec<_>>(), 0.99)
    }
}

/// Requests that do not wait for each other, until all are answered.
fn drive(
    engine: &Engine,
    input: &(String, Tensor),
    arrivals: Arrivals,
    per_second: f64,
    period: Duration,
    deadline: Duration,
    seed: u64,
) -> Phase {
    let expected = (per_second * period.as_secs_f64() * 1.5) as usize + 1000;
    // Written once, so that what is noted down while it is measured takes no new memory.
    let nothing = Sample { at: f64::NAN, took: f64::NAN, is_good: false };
    let mut written = vec![nothing; expected];
    written.clear();
    let samples = Arc::new(Mutex::new(written));
    let mut refused = vec![f64::NAN; expected];
    refused.clear();
    let request = RequestOptions { task: Task::Run, deadline: Some(deadline), ..RequestOptions::default() };
    let (started, mut resident, mut looked) = (Instant::now(), 0.0_f64, 0);
    arrivals.drive(per_second, period, seed, || {
        let given = vec![input.clone()];
        let submitted = Instant::now();
        match engine.submit_tensors(given, request) {
            Ok(pending) => {
                let samples = Arc::clone(&samples);
                let at = (submitted - started).as_secs_f64();
                pending.on_complete(move |answer| {
                    let took = submitted.elapsed();
                    let is_good = answer.is_ok() && took <= deadline;
                    let sample = Sample { at, took: took.as_secs_f64(), is_good };
                    samples.lock().expect("nobody panics").push(sample);
                });
            }
            Err(_) => refused.push(submitted.elapsed().as_secs_f64()),
        }
        looked += 1;
        if looked % 64 == 0 {
            resident = resident.max(resident_bytes());
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    resident = resident.max(resident_bytes());
    while engine.metrics().in_flight > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    let accepted = std::mem::take(&mut *samples.lock().expect("nobody panics"));
    Phase { accepted, refused, seconds, resident }
}

/// Bytes of this process in memory; NaN where the system does not say it this way.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()));
    pages.map_or(f64::NAN, |pages| pages * 4096.0)
}
