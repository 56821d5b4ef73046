//! What is said of an engine's memory before it is made is what it then takes.

mod counting_allocator;

use counting_allocator::live_bytes;
use libvision::{Engine, EngineOptions, MemoryPlan, Model};
use std::path::Path;
use std::sync::Arc;

/// Threads, queues and descriptions, which the plan leaves out.
const BESIDE: i64 = 1 << 20;

/// Most of the last block of packed weights that nothing was placed in and nobody touches.
const UNTOUCHED: i64 = 8 << 20;

/// Most by which what the plan leaves out grows with the batch: lists of places.
const GROWTH: i64 = 64 << 10;

// One test, so that no other takes memory meanwhile.
#[test]
fn the_cpu_takes_what_was_forecast() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/model");
    let model = Arc::new(Model::load(folder).expect("the demo model"));
    let options = |max_batch_size| EngineOptions {
        device: "cpu".into(),
        threads: 2,
        max_batch_size,
        decode_threads: 1,
        ..EngineOptions::default()
    };
    // What a process has once, such as compute threads, is there from here on.
    drop(Engine::new(Arc::clone(&model), &options(1)).expect("an engine"));
    let mut beside_the_smallest = None;
    for max_batch_size in [1, 2, 8, 33, 64] {
        let options = options(max_batch_size);
        let forecast = MemoryPlan::of(&model, &options).expect("a plan");
        let before = live_bytes();
        let engine = Engine::new(Arc::clone(&model), &options).expect("an engine");
        let taken = live_bytes() - before;
        let metrics = engine.metrics();
        assert_eq!(metrics.memory, forecast, "max_batch_size {max_batch_size}");
        assert_eq!(metrics.memory_bytes, forecast.taken_at_start());
        let beside = taken - forecast.taken_at_start() as i64;
        assert!((0..=BESIDE + UNTOUCHED).contains(&beside), "{beside} bytes beside {forecast:?}");
        let least = *beside_the_smallest.get_or_insert(beside);
        assert!((beside - least).abs() <= GROWTH, "{beside} bytes beside {forecast:?}, {least} at first");
    }
}
