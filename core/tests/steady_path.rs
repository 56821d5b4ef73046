//! Once an engine has served for a while, serving takes no memory: every block that a request needs was another's
//! before. Only an encoded picture takes the one that its pixels are decoded to, which admission has charged.

mod counting_allocator;
mod engine_stub;

use counting_allocator::calls;
use engine_stub::*;
use libvision::{Engine, EngineOptions, ImageSource, Model, Pending, Task, Tensor};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// Requests under way at one time.
const AT_ONCE: usize = 64;

/// Requests of one round.
const ROUND: usize = 1000;

/// Rounds within which everything has become as large as it becomes.
const ROUNDS: usize = 20;

/// Blocks taken in the round that took the fewest, if answers are given back.
fn fewest_taken(engine: &Engine, expected: usize, submit: impl Fn() -> Pending) -> usize {
    let mut open = VecDeque::with_capacity(AT_ONCE);
    let give_back = |pending: Pending| engine.reuse(wait(pending).expect("an answer"));
    let mut fewest = usize::MAX;
    for _ in 0..ROUNDS {
        let before = calls();
        for _ in 0..ROUND {
            if open.len() == AT_ONCE {
                open.pop_front().map(give_back);
            }
            open.push_back(submit());
        }
        open.drain(..).for_each(give_back);
        fewest = fewest.min(calls() - before);
        if fewest <= expected {
            break;
        }
    }
    fewest
}

fn stub_takes_nothing(options: &EngineOptions) {
    let stub = Stub { remembers_runs: false, ..Stub::new() };
    let (engine, _hand) = engine_on(stub, options);
    let [(_, tensor)] = tensor_of(&[3]).try_into().expect("one input");
    for what in [Task::Run, Task::Embed, Task::Classify { top_k: CLASSES, min_score: 0.0 }] {
        let submit = || engine.submit_tensors([("pixels", tensor.clone())], task(what)).expect("room");
        assert_eq!(fewest_taken(&engine, 0, submit), 0, "{what:?}");
    }
    for (image, taken) in [(picture(3), 0), (ImageSource::Encoded(bmp(3).into()), ROUND)] {
        let submit = || engine.submit(image.clone(), classify_all()).expect("room");
        assert_eq!(fewest_taken(&engine, taken, submit), taken, "of pictures");
    }
}

fn cpu_takes_nothing(options: EngineOptions) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx");
    let model = Model::load(golden.join("basic_torchscript_folded_dynamic.onnx")).expect("a golden model");
    let options = EngineOptions { device: "cpu".into(), threads: 2, ..options };
    let engine = Engine::new(Arc::new(model), &options).expect("an engine");
    let tensor = Tensor::new(&[1, 3, 32, 32], vec![0.5_f32; 3 * 32 * 32]).expect("sizes fit");
    let submit = || engine.submit_tensors([("input", tensor.clone())], task(Task::Run)).expect("room");
    assert_eq!(fewest_taken(&engine, 0, submit), 0);
}

// One test, so that no other takes memory meanwhile.
#[test]
fn serving_takes_no_memory() {
    let options = EngineOptions { max_batch_size: 8, ..options() };
    stub_takes_nothing(&options);
    cpu_takes_nothing(options);
}
