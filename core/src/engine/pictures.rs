//! Whether a model takes pictures, and what makes its input of them.

use super::config::EngineOptions;
use super::devices::specs;
use crate::backend::{DevicePreprocessing, TensorSpec};
use crate::graph::{Dim, show_shape};
use crate::model::Model;
use crate::preprocess::CpuPreprocessor;

/// Most bytes of a picture that a device preprocesses, with the coefficients of its resize: each place of a batch has
/// as many on both sides. Larger pictures take longer to decode than to resize, so the host does both.
const PICTURE_BYTES: usize = 1 << 20;
/// Coefficients for pictures of usual shapes.
const COEFFICIENT_BYTES: usize = 64 << 10;

/// What a device is asked to make of the model's pictures; `None` if the model takes none.
pub(super) fn device_preprocessing(model: &Model, options: &EngineOptions) -> Option<DevicePreprocessing> {
    preprocessor_for(model, &specs(model.graph()).0).ok()?;
    let most = options.limits.max_pixels.saturating_mul(3).saturating_add(COEFFICIENT_BYTES);
    Some(DevicePreprocessing { spec: model.preprocess().clone(), slot_bytes: PICTURE_BYTES.min(most) })
}

/// The preprocessor whose result is the model's only input, or a sentence that says why pictures cannot be
/// taken.
pub(super) fn preprocessor_for(
    model: &Model,
    inputs: &[TensorSpec],
) -> std::result::Result<CpuPreprocessor, String> {
    let [input] = inputs else {
        let names: Vec<String> = inputs.iter().map(|input| format!("{:?}", input.name)).collect();
        return Err(format!(
            "expected a model with one input for a picture, found {} inputs {}; submit tensors instead",
            inputs.len(),
            names.join(", ")
        ));
    };
    let preprocessor = CpuPreprocessor::new(model.preprocess()).map_err(|error| error.to_string())?;
    let picture = preprocessor.output_shape().map(Dim::Fixed);
    let expected = [Dim::Batch, picture[0], picture[1], picture[2]];
    if input.shape != expected {
        return Err(format!(
            "input {:?}: preprocessing makes {} of pictures, the model takes {}; give the model another \
             preprocessing, or submit tensors",
            input.name,
            show_shape(&expected),
            show_shape(&input.shape)
        ));
    }
    Ok(preprocessor)
}
