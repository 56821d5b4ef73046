//! A model's answers to golden images, computed as nearly exact as this machine can.

use super::runner::Runner;
use crate::backend::CompileOptions;
use crate::backend::cpu::CpuBackend;
use crate::error::Result;
use crate::model::{GOLDEN_IMAGES, Golden, Model, golden_image};

impl Model {
    /// Answers to store beside the model: on the CPU, by direct convolution, one image at a time. Fails as compiling
    /// does, and with `INVALID_ARGUMENT` for a tolerance that no file may have.
    pub fn compute_golden(&self, tolerance: f32) -> Result<Golden> {
        let options = CompileOptions { precise: true, ..CompileOptions::default() };
        let mut runner = Runner::new(self, &CpuBackend::new(), &options)?;
        let names: Vec<String> =
            runner.executable().outputs().iter().map(|output| output.name.clone()).collect();
        let answers = (0..GOLDEN_IMAGES).map(|image| {
            for (index, input) in runner.inputs_mut().iter_mut().enumerate() {
                *input = golden_image(image, index, input.len());
            }
            runner.run()?;
            Ok(names.iter().cloned().zip(runner.outputs().iter().cloned()).collect())
        });
        Golden::new(tolerance, answers.collect::<Result<_>>()?)
    }
}
