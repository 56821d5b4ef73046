//! What every kind of device asks of the arguments of a run.

use super::{Executable, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::show_shape;

/// Fails with `INVALID_ARGUMENT` for a batch size or a number of tensors, and with `SHAPE_MISMATCH` for a length,
/// that the executable does not take. An output may be empty.
pub(super) fn check_run(
    executable: &dyn Executable,
    batch: usize,
    inputs: &[&[f32]],
    outputs: &[&mut [f32]],
) -> Result<()> {
    check_results(executable, batch, outputs)?;
    let specs = executable.inputs();
    if inputs.len() != specs.len() {
        return Err(invalid(format!("expected {} inputs, found {}", specs.len(), inputs.len())));
    }
    specs.iter().zip(inputs).try_for_each(|(spec, input)| check_len("input", spec, batch, input.len()))
}

/// As [`check_run`], of all but the inputs.
pub(super) fn check_results(executable: &dyn Executable, batch: usize, outputs: &[&mut [f32]]) -> Result<()> {
    let most = executable.max_batch_size();
    if batch == 0 || batch > most {
        return Err(invalid(format!("batch size: expected 1 to {most}, found {batch}")));
    }
    let specs = executable.outputs();
    if outputs.len() != specs.len() {
        return Err(invalid(format!("expected {} outputs, found {}", specs.len(), outputs.len())));
    }
    for (spec, output) in specs.iter().zip(outputs) {
        if !output.is_empty() {
            check_len("output", spec, batch, output.len())?;
        }
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn check_len(what: &str, spec: &TensorSpec, batch: usize, found: usize) -> Result<()> {
    let expected = batch * spec.elements_per_image();
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ShapeMismatch,
        format!(
            "{what} {:?}: expected {expected} elements for {batch} images of {}, found {found}",
            spec.name,
            show_shape(&spec.shape)
        ),
    ))
}
