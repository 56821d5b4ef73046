//! Measuring the shipped model: that what is reported belongs together. How large it is nobody can test.

use libvision::backend::CompileOptions;
use libvision::backend::cpu::CpuBackend;
use libvision::measure::{MeasureOptions, Runner};
use libvision::{ErrorKind, Model};
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
