//! Measuring the shipped model: that what is reported belongs together. How large it is nobody can test.

use libvision::backend::cpu::CpuBackend;
use libvision::backend::{Backend, CompileOptions};
use libvision::measure::{MeasureOptions, Runner};
use libvision::{ErrorKind, Model, Tuning};
use libvision_kernels::cpu::conv2d::ConvAlgorithm;
use std::time::Duration;

fn shipped() -> Model {
    Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/model")).expect("the shipped model")
}

fn once(compile: CompileOptions) -> MeasureOptions {
    MeasureOptions { compile, least_time: Duration::ZERO, least_runs: 3, ..MeasureOptions::default() }
}

#[test]
fn timing_steps_changes_no_result() {
    let model = shipped();
    let options = CompileOptions { max_batch_size: 3, threads: 2, ..CompileOptions::default() };
    let mut runner = Runner::new(&model, &CpuBackend::new(), &options).expect("a runner");
    runner.run().expect("a run");
    let expected = runner.outputs().to_vec();
    assert!(expected[0].iter().any(|x| *x != 0.0));
    let steps = runner.executable().steps();
    let mut times = vec![Duration::ZERO; steps.len()];
    let total = runner.run_timed(&mut times).expect("a run");
    assert_eq!(runner.outputs(), expected);
    let sum: Duration = times.iter().sum();
    assert!(Duration::ZERO < sum && sum <= total, "{times:?} {total:?}");
    let error = runner.run_timed(&mut times[1..]).expect_err("too few");
    assert!(error.message().contains(&format!("each of {} steps", steps.len())), "{error}");
}

#[test]
fn a_profile_names_each_step_and_a_measurement_none() {
    let model = shipped();
    let options = once(CompileOptions { max_batch_size: 2, threads: 1, ..CompileOptions::default() });
    let profile = model.profile(&options).expect("a profile");
    assert_eq!((profile.batch, profile.threads, profile.times.len()), (2, 1, 3));
    assert!(profile.times.is_sorted());
    assert!(profile.peak_flops.is_some_and(|peak| peak > 0.0));
    let (first, last) = (&profile.steps[0].step, &profile.steps[profile.steps.len() - 1].step);
    assert_eq!((first.name.as_str(), last.name.as_str()), ("input", "logits"));
    let multiplications: usize = profile.steps.iter().map(|step| step.step.multiplications).sum();
    assert_eq!(multiplications, profile.multiplications);
    // Convolutions and the classifier multiply, the rest does not.
    for step in &profile.steps {
        let multiplies = ["Conv2d", "Linear"].iter().any(|word| step.step.operation.starts_with(word));
        assert_eq!(step.step.multiplications > 0, multiplies, "{step:?}");
        assert_eq!(step.step.algorithm.is_empty(), !step.step.operation.starts_with("Conv2d"), "{step:?}");
    }
    let measurement = model.measure(&options).expect("a measurement");
    assert!(measurement.steps.is_empty());
    assert_eq!(measurement.multiplications, profile.multiplications);
}

#[test]
fn what_cannot_run_is_not_measured() {
    let model = shipped();
    let error = |options: &MeasureOptions| model.measure(options).expect_err("no such thing").kind();
    let options = once(CompileOptions { threads: 1000, ..CompileOptions::default() });
    assert_eq!(error(&options), ErrorKind::InvalidArgument);
    let options = MeasureOptions { device: "cuda:99".into(), ..once(CompileOptions::default()) };
    assert_eq!(error(&options), ErrorKind::DeviceUnavailable);
}

/// The outputs of one run of the same noise.
fn outputs(model: &Model, compile: &CompileOptions) -> (Vec<Vec<f32>>, usize) {
    let mut runner = Runner::new(model, &CpuBackend::new(), compile).expect("a runner");
    runner.run().expect("a run");
    (runner.outputs().to_vec(), runner.executable().memory_need().weights)
}

#[test]
fn precise_takes_less_memory_and_no_algorithm_that_rounds_more() {
    let model = shipped();
    let fast = CompileOptions { threads: 1, ..CompileOptions::default() };
    let precise = CompileOptions { precise: true, ..fast.clone() };
    let is_winograd = |compile: &CompileOptions| {
        let runner = Runner::new(&model, &CpuBackend::new(), compile).expect("a runner");
        runner.executable().steps().iter().any(|step| step.algorithm.contains("winograd"))
    };
    assert!(is_winograd(&fast) && !is_winograd(&precise));
    let ((fast, more), (precise, less)) = (outputs(&model, &fast), outputs(&model, &precise));
    assert!(less < more, "{less} {more}");
    assert_ne!(fast, precise, "the two must differ for the next line to mean anything");
    let largest = precise[0].iter().fold(0f32, |most, x| most.max(x.abs()));
    for (a, b) in fast[0].iter().zip(&precise[0]) {
        assert!((a - b).abs() <= 1e-4 * largest, "{a} {b}");
    }
}

#[test]
fn a_tuning_is_for_its_model_and_its_kernels() {
    let model = shipped();
    let options = once(CompileOptions { threads: 1, ..CompileOptions::default() });
    let tuning = model.tune(&options).expect("a tuning");
    assert!(!tuning.choices.is_empty());
    assert!(tuning.choices.iter().all(|choice| choice.microseconds.len() > 1), "{tuning:?}");
    let with = |tuning: Tuning| CompileOptions { tuning: Some(tuning.into()), ..options.compile.clone() };
    let compile = |options: CompileOptions| CpuBackend::new().compile(model.graph(), &options);

    // What it says is done.
    let all_direct = |mut tuning: Tuning| {
        tuning.choices.iter_mut().for_each(|choice| choice.algorithm = ConvAlgorithm::Direct);
        tuning
    };
    let direct = compile(with(all_direct(tuning.clone()))).expect("an executable");
    for step in direct.steps().iter().filter(|step| step.operation.starts_with("Conv2d 3x3")) {
        assert!(!step.algorithm.contains("winograd"), "{step:?}");
    }
    let read = Tuning::from_json(tuning.to_json().as_bytes()).expect("our own");
    assert_eq!(read, tuning);
    assert_eq!(outputs(&model, &with(read)), outputs(&model, &with(tuning.clone())));

    let refused = |options: CompileOptions| compile(options).err().expect("refused");
    let error = refused(with(Tuning { isa: "sse9".into(), ..tuning.clone() }));
    assert_eq!(error.kind(), ErrorKind::TuningMismatch);
    assert!(error.message().contains("sse9"), "{error}");
    let error = refused(with(Tuning { choices: vec![], ..tuning.clone() }));
    assert_eq!(error.kind(), ErrorKind::TuningMismatch);
    assert!(error.message().contains("has no convolution of this size"), "{error}");
    let error = refused(CompileOptions { precise: true, ..with(tuning) });
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let precise = once(CompileOptions { precise: true, ..CompileOptions::default() });
    assert_eq!(model.tune(&precise).expect_err("nothing to choose").kind(), ErrorKind::InvalidArgument);
}
