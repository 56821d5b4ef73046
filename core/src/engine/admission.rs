//! What is refused at the door: requests that could never be answered, found without decoding anything.

use super::cost;
use super::hand_over::Tensors;
use super::machine::Cost;
use super::request::{RequestOptions, Task};
use crate::backend::TensorSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::show_shape;
use crate::image::{DecodeLimits, ImageSource, read_header};
use crate::tensor::{DType, Tensor};
use smallvec::SmallVec;
use std::time::Duration;

/// What requests are checked against.
pub(super) struct Admission {
    pub(super) limits: DecodeLimits,
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) outputs: Vec<String>,
    pub(super) max_batch_size: usize,
    pub(super) decode_budget: u64,
    /// Why pictures cannot be taken, if they cannot.
    pub(super) no_pictures: Option<String>,
}

impl Admission {
    /// Checks a picture as far as its header, and says what it takes. Files are opened by the decoders.
    pub(super) fn check_image(&self, image: &ImageSource, options: &RequestOptions) -> Result<Cost> {
        self.check_options(options)?;
        if let Some(reason) = &self.no_pictures {
            return Err(Error::new(ErrorKind::ShapeMismatch, reason.clone()));
        }
        match image {
            ImageSource::Path(_) => Ok(cost::of_file(&self.limits, self.decode_budget)),
            ImageSource::Encoded(bytes) => {
                read_header(bytes, &self.limits).map(|header| cost::of_header(&header, bytes.len()))
            }
            ImageSource::Pixels(raw) => {
                self.limits.check_size(raw.width, raw.height).map(|()| cost::of_pixels(raw))
            }
        }
    }

    /// Checks tensors by name and returns them in the executable's order, with what they take.
    pub(super) fn check_tensors<N: AsRef<str>>(
        &self,
        given: impl IntoIterator<Item = (N, Tensor)>,
        options: &RequestOptions,
    ) -> Result<(Tensors, Cost)> {
        self.check_options(options)?;
        let mut given: SmallVec<[(N, Tensor); 2]> = given.into_iter().collect();
        let mut tensors = Tensors::new();
        for spec in &self.inputs {
            let at = given.iter().position(|(name, _)| name.as_ref() == spec.name);
            let Some(at) = at else { return Err(self.wrong_names(spec, &given)) };
            let (_, tensor) = given.swap_remove(at);
            check_tensor(spec, &tensor)?;
            tensors.push(tensor);
        }
        if let Some((name, _)) = given.first() {
            let name = name.as_ref();
            let problem = match self.inputs.iter().any(|spec| spec.name == name) {
                true => "is given twice",
                false => "is not among the model's inputs",
            };
            return Err(invalid(format!("input {name:?} {problem}; they are {}", self.input_names())));
        }
        let images = tensors.first().map_or(0, |tensor| tensor.shape()[0]);
        for (spec, tensor) in self.inputs.iter().zip(&tensors) {
            if tensor.shape()[0] != images {
                let message = format!(
                    "input {:?}: expected {images} images, as many as input {:?} has, found {}",
                    spec.name,
                    self.inputs[0].name,
                    tensor.shape()[0]
                );
                return Err(Error::new(ErrorKind::ShapeMismatch, message));
            }
        }
        if images > self.max_batch_size {
            let message = format!(
                "input {:?}: expected at most max_batch_size images, {}, found {images}",
                self.inputs[0].name, self.max_batch_size
            );
            return Err(invalid(message));
        }
        if images > 1 && matches!(options.task, Task::Classify { .. }) {
            let message =
                format!("classify takes one image in a request, found {images}; submit each, or run");
            return Err(invalid(message));
        }
        let cost = cost::of_tensors(&tensors, images);
        Ok((tensors, cost))
    }

    fn wrong_names<N: AsRef<str>>(&self, missing: &TensorSpec, given: &[(N, Tensor)]) -> Error {
        let given: Vec<String> = given.iter().map(|(name, _)| format!("{:?}", name.as_ref())).collect();
        let given = if given.is_empty() { "nothing else".into() } else { given.join(", ") };
        invalid(format!(
            "input {:?} is missing, found {given}; the model's inputs are {}",
            missing.name,
            self.input_names()
        ))
    }

    fn input_names(&self) -> String {
        let names: Vec<String> = self.inputs.iter().map(|spec| format!("{:?}", spec.name)).collect();
        names.join(", ")
    }

    fn check_options(&self, options: &RequestOptions) -> Result<()> {
        match options.task {
            Task::Classify { top_k: 0, .. } => {
                return Err(invalid("top_k must be at least 1, found 0".into()));
            }
            Task::Classify { min_score, .. } if min_score.is_nan() => {
                return Err(invalid("min_score must be a number, found NaN".into()));
            }
            Task::Embed if !self.outputs.iter().any(|name| name == "embedding") => {
                let message = format!(
                    "the model has no output \"embedding\": no pooled feature before a classifier was found; \
                     its outputs are {}",
                    self.outputs.join(", ")
                );
                return Err(Error::new(ErrorKind::OutputMissing, message));
            }
            Task::Classify { .. } | Task::Embed | Task::Run => {}
        }
        if options.deadline == Some(Duration::ZERO) {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the deadline has passed already: 0 s are allowed",
            ));
        }
        Ok(())
    }
}

fn check_tensor(spec: &TensorSpec, tensor: &Tensor) -> Result<()> {
    let TensorSpec { name, shape, .. } = spec;
    if tensor.dtype() != DType::F32 {
        let message = format!("input {name:?}: expected f32, found {}", tensor.dtype());
        return Err(Error::new(ErrorKind::DTypeMismatch, message));
    }
    let images = tensor.shape().first().copied().unwrap_or(0);
    if images == 0 || !spec.sizes(images).eq(tensor.shape().iter().copied()) {
        let message = format!(
            "input {name:?}: expected shape {} with N at least 1, found {:?}",
            show_shape(shape),
            tensor.shape()
        );
        return Err(Error::new(ErrorKind::ShapeMismatch, message));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
