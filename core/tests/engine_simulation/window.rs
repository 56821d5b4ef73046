//! Set scenes of the adaptive window in virtual time: who is alone never waits, and who is not shares its batch.

use crate::machine::{Policy, Time, Window};
use crate::random::Random;
use crate::scenes::{MS, Scene, US, picture, shape};

/// A launch costs as much as twenty images.
const CURVE: (u64, u64) = (2 * MS, 100 * US);
const DECODE: u64 = 30 * US;
/// What `Scene` takes to fill slots.
const FILL: u64 = 10 * US;

fn scene(window: Window, max_batch_size: usize) -> Scene {
    Scene::new(shape(max_batch_size), Policy { window, ..Policy::default() }, CURVE, DECODE)
}

/// Answers whoever came last as soon as its own decoding, filling and run allow.
fn assert_at_once(scene: &mut Scene, at: u64, what: &str) {
    scene.pass(Time(at));
    let id = scene.arrive(0, picture(), None);
    let due = at + DECODE + FILL + CURVE.0 + CURVE.1;
    scene.pass(Time(due));
    assert_eq!(scene.delivered.get(&id), Some(&Time(due)), "{what}");
}

pub fn a_lone_request_leaves_at_once() {
    let mut scene = scene(Window::Adaptive, 32);
    assert_at_once(&mut scene, 0, "the first of all");
    for second in 1..20 {
        let mut at = second * 1000 * MS;
        // However dense those were that came before.
        for _ in 0..second * 10 {
            at += 20 * US;
            scene.pass(Time(at));
            scene.arrive(0, picture(), None);
        }
        for alone in 0..3 {
            at += 60 * MS;
            assert_at_once(&mut scene, at, &format!("number {alone} after {} in a row", second * 10));
        }
        // One caller that waits for each answer before it asks again.
        for turn in 0..50 {
            at = scene.now.0 + 15 * US;
            assert_at_once(&mut scene, at, &format!("turn {turn} of one caller"));
        }
    }
}

/// Answers in a second, and images in a launch, for so many callers that each wait for an answer before they ask
/// again.
fn closed_loop(window: Window, max_batch_size: usize, callers: u64) -> (f64, f64) {
    let mut scene = scene(window, max_batch_size);
    let mut random = Random(7);
    let mut asks: Vec<u64> = (0..callers).map(|caller| caller * 5 * US).collect();
    let mut asked = Vec::new();
    while scene.now.0 < 200 * MS {
        let now = scene.now.0 + 10 * US;
        scene.pass(Time(now));
        let (due, later): (Vec<u64>, _) = asks.iter().partition(|&&at| at <= now);
        asks = later;
        asked.extend(due.iter().map(|_| scene.arrive(0, picture(), None)));
        asked.retain(|id| match scene.delivered.get(id) {
            Some(at) => {
                asks.push(at.0 + random.range(5 * US, 40 * US));
                false
            }
            None => true,
        });
    }
    let launches = scene.launches.len() as f64;
    (scene.delivered.len() as f64, scene.launches.iter().sum::<usize>() as f64 / launches)
}

pub fn callers_at_the_same_time_share_batches() {
    for (max_batch_size, callers) in [(8, 8), (8, 16), (32, 64), (16, 5)] {
        let (greedy, _) = closed_loop(Window::Latency, max_batch_size, callers);
        let (adaptive, images) = closed_loop(Window::Adaptive, max_batch_size, callers);
        let what = format!("{callers} callers, batches of {max_batch_size}: {greedy} greedy, {adaptive}");
        let fullest = callers.min(max_batch_size as u64) as f64;
        assert!(images >= 0.9 * fullest, "{what}: batches of {images}");
        assert!(adaptive >= greedy * if callers <= max_batch_size as u64 { 1.3 } else { 0.99 }, "{what}");
    }
}

/// Mean milliseconds from arrival to answer, for arrivals at random moments.
fn mean_latency(window: Window, per_second: u64) -> f64 {
    let mut scene = scene(window, 32);
    let mut random = Random(per_second);
    let mut arrived = Vec::new();
    let mut at = 0;
    while at < 1500 * MS {
        at += random.exponential(1_000_000_000 / per_second);
        scene.pass(Time(at));
        arrived.push((scene.arrive(0, picture(), None), at));
    }
    scene.pass(Time(at + 1000 * MS));
    let waited: u64 = arrived.iter().map(|(id, at)| scene.delivered[id].0 - at).sum();
    waited as f64 / arrived.len() as f64 / MS as f64
}

pub fn waiting_costs_nobody_much_at_any_load() {
    // Capacity is 6150 a second.
    for per_second in [50, 300, 1000, 2500, 4000, 5500] {
        let [greedy, adaptive, always] = [Window::Latency, Window::Adaptive, Window::Throughput]
            .map(|window| mean_latency(window, per_second));
        let what = format!("{per_second} a second: {greedy:.2} greedy, {adaptive:.2}, {always:.2} always");
        assert!(adaptive <= 1.05 * greedy.min(always), "{what}");
    }
}

#[test]
fn lone_requests() {
    a_lone_request_leaves_at_once();
}

#[test]
fn many_callers() {
    callers_at_the_same_time_share_batches();
}

#[test]
fn any_load() {
    waiting_costs_nobody_much_at_any_load();
}
