//! Several models in one engine: each under its name, swapped without losing a request, unloaded, and all below one
//! limit of memory.

mod engine_stub;

use engine_stub::*;
use libvision::{
    Engine, EngineOptions, ErrorKind, Head, MemoryPlan, Model, ModelId, RequestOptions, Response,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A model whose labels say which it is.
fn named(name: &str) -> Arc<Model> {
    let labels = (0..CLASSES).map(|_| name.to_owned()).collect();
    let graph = picture_model().graph().clone();
    Arc::new(Model::from_graph(name, graph, preprocessing(), labels, Head::Softmax).expect("a valid graph"))
}

fn engine_of(name: &str, options: &EngineOptions) -> (Engine, Hand) {
    let stub = Stub::new();
    let hand = Hand(Arc::clone(&stub.control));
    (Engine::with_backend(named(name), options, Arc::new(stub)).expect("an engine"), hand)
}

fn for_model(model: ModelId) -> RequestOptions {
    RequestOptions { model, ..classify_all() }
}

fn who(response: &Response) -> &str {
    &response.predictions[0].label
}

#[test]
fn each_request_is_answered_by_the_model_it_names() {
    let (engine, _control) = engine_of("first", &options());
    let second = engine.load("second", named("second"), &options()).expect("loaded");
    assert_eq!(engine.models(), ["default", "second"]);
    assert_eq!(engine.model_id("second").expect("there"), second);
    assert_eq!(engine.model_id("default").expect("there"), ModelId::default());
    for (model, name) in [(ModelId::default(), "first"), (second, "second")] {
        assert_eq!(who(&engine.classify(picture(1), for_model(model)).expect("an answer")), name);
        let tensors = engine.submit_tensors(tensor_of(&[1]), for_model(model)).expect("accepted");
        assert_eq!(who(&wait(tensors).expect("an answer")), name);
    }
    assert_eq!(engine.metrics().counters.accepted, 2);
    assert_eq!(engine.metrics_of("second").expect("there").counters.accepted, 2);
    let text = engine.prometheus();
    for name in ["default", "second"] {
        assert!(
            text.contains(&format!("requests_accepted_total{{model=\"{name}\",version=\"1\"}} 2")),
            "{text}"
        );
    }
    assert_eq!(text.matches("# TYPE libvision_images_total counter").count(), 1);
    for (result, part) in [
        (engine.load("second", named("x"), &options()).map(drop), "loaded already"),
        (engine.swap("third", named("x")), "these are: \"default\", \"second\""),
        (engine.unload("third"), "\"third\" is not loaded"),
        (engine.unload("default"), "swap it, or close"),
        (engine.model_id("third").map(drop), "\"third\" is not loaded"),
    ] {
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn a_swap_loses_no_request_and_mixes_no_versions() {
    let (engine, control) = engine_of("1", &EngineOptions { max_batch_size: 4, ..options() });
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 1;
                while !stop.load(Ordering::Relaxed) {
                    let response = engine.classify(picture(2), classify_all()).expect("never refused");
                    let version: usize = who(&response).parse().expect("a number");
                    assert!(version >= newest, "an old version answered after a new one");
                    newest = version;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in 2..12 {
            let before = asked.load(Ordering::Relaxed);
            engine.swap("default", named(&version.to_string())).expect("swapped");
            while asked.load(Ordering::Relaxed) < before + 10 {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let metrics = engine.metrics();
    assert_eq!((metrics.model.as_str(), metrics.version), ("default", 11));
    assert!(metrics.is_ready && engine.is_ready());
    drop(engine);
    assert_eq!(Arc::strong_count(&control.0), 1, "something of an old version is left");
}

#[test]
fn a_swap_waits_for_what_the_old_version_accepted_and_new_requests_do_not() {
    let (engine, control) = engine_of("old", &options());
    control.hold();
    let old = engine.submit(picture(0), classify_all()).expect("accepted");
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| engine.swap("default", named("new")));
        // The proof of the new version is held too: let go of its runs until it is there.
        while engine.metrics().version == 1 {
            control.release();
            std::thread::yield_now();
        }
        assert_eq!(who(&engine.classify(picture(1), classify_all()).expect("at once")), "new");
        swapping.join().expect("no panic").expect("swapped");
    });
    assert_eq!(who(&wait(old).expect("an answer")), "old");
}

#[test]
fn a_version_that_does_not_work_leaves_the_present_one_as_it_is() {
    let (engine, control) = engine_of("old", &options());
    control.refuse_contexts(true);
    assert_eq!(engine.swap("default", named("new")).expect_err("no memory").kind(), ErrorKind::OutOfMemory);
    assert_eq!(
        engine.load("b", named("b"), &options()).expect_err("no memory").kind(),
        ErrorKind::OutOfMemory
    );
    control.refuse_contexts(false);
    assert_eq!(who(&engine.classify(picture(1), classify_all()).expect("as before")), "old");
    assert_eq!((engine.models().len(), engine.metrics().version), (1, 1));
    engine.swap("default", named("new")).expect("works now");
    assert_eq!(who(&engine.classify(picture(1), classify_all()).expect("an answer")), "new");
}

#[test]
fn an_unloaded_model_answers_what_it_accepted_and_its_name_comes_back_with_its_number() {
    let (engine, control) = engine_of("first", &options());
    let other = engine.load("other", named("other"), &options()).expect("loaded");
    control.hold();
    let pending = engine.submit(picture(0), for_model(other)).expect("accepted");
    std::thread::scope(|scope| {
        let unloading = scope.spawn(|| engine.unload("other"));
        while engine.models().len() == 2 {
            std::thread::yield_now();
        }
        let error = engine.submit(picture(0), for_model(other)).err().expect("gone");
        assert!(
            error.kind() == ErrorKind::InvalidArgument && error.message().contains("\"other\""),
            "{error}"
        );
        control.release();
        unloading.join().expect("no panic").expect("unloaded");
    });
    assert_eq!(who(&wait(pending).expect("an answer")), "other");
    assert_eq!(engine.load("other", named("again"), &options()).expect("loaded"), other);
    assert_eq!(who(&engine.classify(picture(0), for_model(other)).expect("an answer")), "again");
    assert_eq!(engine.metrics_of("other").expect("there").version, 2);
}

#[test]
fn a_callback_may_swap_and_close() {
    let (engine, _control) = engine_of("old", &options());
    let engine = Arc::new(engine);
    let (sender, done) = std::sync::mpsc::channel();
    let inside = Arc::clone(&engine);
    engine.submit(picture(0), classify_all()).expect("accepted").on_complete(move |answer| {
        assert!(answer.is_ok());
        inside.swap("default", named("new")).expect("swapped");
        let response = inside.classify(picture(1), classify_all()).expect("an answer");
        sender.send(who(&response).to_owned()).expect("the test listens");
        inside.close();
    });
    assert_eq!(done.recv_timeout(PATIENCE).expect("no deadlock"), "new");
    engine.close();
    let error = engine.load("late", named("late"), &options()).expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::EngineClosed);
    assert!(!engine.is_ready());
}

#[test]
fn all_models_share_one_limit_of_memory() {
    let limits = EngineOptions { encoded_budget: 1000, decode_budget: 1000, ..options() };
    let (probe, _control) = engine_of("probe", &limits);
    let MemoryPlan { .. } = probe.metrics().memory;
    let one = probe.metrics().memory.host();
    let refused = |memory_limit| {
        let stub = Stub::new();
        let control = Arc::clone(&stub.control);
        let limits = EngineOptions { memory_limit: Some(memory_limit), ..limits.clone() };
        let made = Engine::with_backend(named("x"), &limits, Arc::new(stub));
        (made, control)
    };
    let (made, control) = refused(one - 1);
    let error = made.err().expect("one byte too many");
    assert_eq!((error.kind(), control.contexts()), (ErrorKind::OutOfMemory, 0));
    for part in [format!("{one} bytes"), "memory_limit".into(), "max_batch_size".into(), "1 too many".into()]
    {
        assert!(error.message().contains(&part), "{part}: {error}");
    }
    let (engine, _control) = refused(2 * one + 1);
    let engine = engine.expect("room for two");
    engine.load("b", named("b"), &limits).expect("room for two");
    let full = [engine.load("c", named("c"), &limits).map(drop), engine.swap("b", named("b2"))];
    for result in full {
        assert_eq!(result.expect_err("no room for three").kind(), ErrorKind::OutOfMemory);
    }
    assert!(engine.prometheus().contains(&format!("libvision_ledger_bytes{{place=\"host\"}} {}", 2 * one)));
    engine.unload("b").expect("unloaded");
    engine.load("c", named("c"), &limits).expect("room again");
    assert!(
        engine
            .prometheus()
            .contains(&format!("libvision_ledger_limit_bytes{{place=\"host\"}} {}", 2 * one + 1))
    );
}
