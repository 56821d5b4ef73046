//! Many requests of every kind, one after the other, and nothing is left of them: no memory, thread or descriptor.
//! `SOAK_REQUESTS` in the environment asks for another number: the long form is
//! `SOAK_REQUESTS=1000000 cargo test --release -p libvision --test soak -- --nocapture`.

mod counting_allocator;
mod engine_stub;

use counting_allocator::live_bytes;
use engine_stub::*;
use libvision::{BatchWindow, Engine, EngineOptions, Error, ErrorKind, ImageSource, Pending, RequestOptions};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Requests under way at one time.
const AT_ONCE: usize = 64;

/// Most that may remain of all requests, live and resident: 1 MiB for a million.
const MOST_RESIDENT: f64 = (1 << 20) as f64;

/// Most live bytes that may come after a fifth of all requests: how much is kept to be used again depends on how many
/// threads have met. 8 bytes left by each request would be more.
const MOST_KEPT: i64 = 128 << 10;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered { seed: usize },
    Corrupt,
    Cancelled,
    Expired,
}

fn submit(engine: &Engine, number: usize) -> (Option<Pending>, Fate) {
    let seed = number % 23;
    let expired = || {
        let options = RequestOptions { deadline: Some(Duration::from_nanos(1)), ..classify_all() };
        engine.submit(picture(seed), options)
    };
    let (pending, fate) = match number % 16 {
        0..6 => (engine.submit(picture(seed), classify_all()), Fate::Answered { seed }),
        6..9 => {
            let image = ImageSource::Encoded(bmp(seed).into());
            (engine.submit(image, classify_all()), Fate::Answered { seed })
        }
        9..12 => (engine.submit_tensors(tensor_of(&[seed]), classify_all()), Fate::Answered { seed }),
        12 => (engine.submit(corrupt(), classify_all()), Fate::Corrupt),
        13 => (expired(), Fate::Expired),
        _ => (engine.submit(picture(seed), classify_all()), Fate::Cancelled),
    };
    match (pending, fate) {
        (Ok(pending), Fate::Cancelled) => {
            pending.cancel();
            (Some(pending), fate)
        }
        (Ok(pending), _) => (Some(pending), fate),
        (Err(error), Fate::Expired) => {
            assert!(is_late(&error), "{error}");
            (None, fate)
        }
        (Err(error), _) => panic!("request {number} was refused: {error}"),
    }
}

fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DeadlineExceeded | ErrorKind::DeadlineInfeasible)
}

fn check(pending: Option<Pending>, fate: Fate, expected: &[Vec<f32>]) {
    let Some(pending) = pending else { return };
    match (wait(pending), fate) {
        (Ok(response), Fate::Answered { seed }) => assert_eq!(scores(&response), expected[seed]),
        (Ok(_), Fate::Cancelled) => {}
        (Err(error), Fate::Cancelled) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        (Err(error), Fate::Corrupt) => assert_eq!(error.kind(), ErrorKind::ImageTruncated),
        (Err(error), Fate::Expired) => assert!(is_late(&error), "{error}"),
        (answer, fate) => panic!("{fate:?} was answered {:?}", answer.map(|_| "with a result")),
    }
}

/// `count` requests, as many at a time as are allowed; at the end all are answered.
fn mixed(engine: &Engine, hand: &Hand, count: usize, expected: &[Vec<f32>]) {
    let mut open = VecDeque::with_capacity(AT_ONCE);
    for number in 0..count {
        if open.len() == AT_ONCE
            && let Some((pending, fate)) = open.pop_front()
        {
            check(pending, fate, expected);
        }
        open.push_back(submit(engine, number));
    }
    open.into_iter().for_each(|(pending, fate)| check(pending, fate, expected));
    hand.forget_begun();
}

/// Bytes of this process in memory, where the system says so.
fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<f64>().ok().map(|pages| pages * 4096.0)
}

/// Threads and open files of this process, where the system says so.
fn threads_and_files() -> Option<[usize; 2]> {
    let count = |folder| std::fs::read_dir(folder).ok().map(Iterator::count);
    Some([count("/proc/self/task")?, count("/proc/self/fd")?])
}

/// Until it is so; a thread that has answered may not have put everything away yet.
fn settles(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes a request, by the median of the slopes between all pairs of points (Theil 1950, Sen 1968).
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, a)| points[at + 1..].iter().map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

// One test, so that no other takes memory meanwhile.
#[test]
fn nothing_is_left_of_any_number_of_requests() {
    let requests: usize = match std::env::var("SOAK_REQUESTS") {
        Ok(value) => value.parse().expect("SOAK_REQUESTS is a number"),
        Err(_) => 20_000,
    };
    let expected: Vec<Vec<f32>> = (0..23).map(expected_scores).collect();
    let before = threads_and_files();
    {
        let window = BatchWindow::Adaptive;
        let options = EngineOptions { decode_threads: 2, max_batch_size: 8, window, ..options() };
        let (engine, hand) = engine(&options);
        let busy = threads_and_files();
        let (steps, step) = (20, requests / 25);
        mixed(&engine, &hand, requests - steps * step, &expected);
        let live = live_bytes();
        let mut points = Vec::with_capacity(steps);
        let mut most = 0;
        for done in 1..=steps {
            mixed(&engine, &hand, step, &expected);
            points.extend(resident_bytes().map(|bytes| ((done * step) as f64, bytes)));
            most = most.max(live_bytes() - live);
        }
        let grown = slope(&points) * 1e6;
        println!(
            "{requests} requests: {grown:.0} resident bytes a million more, at most {most} live bytes more"
        );
        let in_these = slope(&points) * (steps * step) as f64;
        assert!(grown.min(in_these) <= MOST_RESIDENT, "resident memory grows: {points:?}");
        settles("live memory grows", || live_bytes() - live <= MOST_KEPT);
        assert_eq!(threads_and_files(), busy, "threads and files");
        let counters = engine.metrics().counters;
        assert!(counters.arrived >= requests as u64 && engine.metrics().in_flight == 0);
    }
    settles("threads or files are left", || threads_and_files() == before);
}
