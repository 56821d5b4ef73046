//! Whether a model takes pictures, and what makes its input of them.

use crate::backend::TensorSpec;
use crate::graph::{Dim, show_shape};
use crate::model::Model;
use crate::preprocess::CpuPreprocessor;

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
