//! What is refused at the door: requests that could never be answered well, found without decoding.

use super::request::{RequestOptions, Task};
use crate::backend::TensorSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{DecodeLimits, ImageSource, read_header};
use crate::tensor::{DType, Tensor};
use std::time::Duration;

/// What requests are checked against.
pub(super) struct Admission {
    pub(super) limits: DecodeLimits,
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) max_batch_size: usize,
    pub(super) has_embedding: bool,
    /// Why pictures cannot be taken, if they cannot.
    pub(super) no_images: Option<String>,
}

impl Admission {
    /// Checks a picture as far as its header; files are opened only by the decode threads.
    pub(super) fn check_image(&self, image: &ImageSource, options: &RequestOptions) -> Result<()> {
        self.check_options(options)?;
        if let Some(reason) = &self.no_images {
            return Err(Error::new(ErrorKind::InvalidArgument, reason.clone()));
        }
        if let ImageSource::Encoded(bytes) = image {
            read_header(bytes, &self.limits)?;
        }
        Ok(())
    }

    /// Checks input tensors and returns them in the graph's order, with the number of images.
    pub(super) fn check_tensors(
        &self,
        mut given: Vec<(String, Tensor)>,
        options: &RequestOptions,
    ) -> Result<(Vec<Tensor>, usize)> {
        self.check_options(options)?;
        let mut tensors = Vec::with_capacity(self.inputs.len());
        let mut images = None;
        for spec in &self.inputs {
            let Some(at) = given.iter().position(|(name, _)| *name == spec.name) else {
                return Err(self.wrong_names(&given));
            };
            let (name, tensor) = given.swap_remove(at);
            if tensor.dtype() != DType::F32 {
                let message = format!("input \"{name}\": expected f32, found {}", tensor.dtype());
                return Err(Error::new(ErrorKind::DTypeMismatch, message));
            }
            let count = tensor.shape().first().copied().unwrap_or(0);
            if tensor.shape() != spec.shape_for(count) || count == 0 {
                let mut expected = vec!["N".to_owned()];
                expected.extend(spec.shape_for(1).iter().skip(1).map(usize::to_string));
                let message = format!(
                    "input \"{name}\": expected shape [{}] with N of at least 1, found {:?}",
                    expected.join(", "),
                    tensor.shape()
                );
                return Err(Error::new(ErrorKind::ShapeMismatch, message));
            }
            if *images.get_or_insert(count) != count {
                let message = format!("input \"{name}\" has {count} images, another input has {images:?}");
                return Err(Error::new(ErrorKind::ShapeMismatch, message));
            }
            tensors.push(tensor);
        }
        if !given.is_empty() {
            return Err(self.wrong_names(&given));
        }
        let images = images.unwrap_or(0);
        if images > self.max_batch_size {
            let message = format!(
                "{images} images in one request are more than max_batch_size, {}",
                self.max_batch_size
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if images > 1 && matches!(options.task, Task::Classify { .. }) {
            let message = format!("classify takes one image a request, found {images}");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok((tensors, images))
    }

    fn wrong_names(&self, left: &[(String, Tensor)]) -> Error {
        let quoted =
            |names: Vec<&str>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let expected = quoted(self.inputs.iter().map(|spec| spec.name.as_str()).collect());
        let found = quoted(left.iter().map(|(name, _)| name.as_str()).collect());
        let message =
            format!("the model's inputs are {expected}, each given once; left over or wrong: {found}");
        Error::new(ErrorKind::InvalidArgument, message)
    }

    fn check_options(&self, options: &RequestOptions) -> Result<()> {
        match options.task {
            Task::Classify { top_k: 0, .. } => {
                return Err(Error::new(ErrorKind::InvalidArgument, "top_k must be at least 1, found 0"));
            }
            Task::Classify { min_score, .. } if min_score.is_nan() => {
                return Err(Error::new(ErrorKind::InvalidArgument, "min_score must be a number, found NaN"));
            }
            Task::Embed if !self.has_embedding => {
                let message = "the model has no embedding: no pooled feature before a classifier was found";
                return Err(Error::new(ErrorKind::OutputMissing, message));
            }
            _ => {}
        }
        if options.deadline == Some(Duration::ZERO) {
            return Err(Error::new(ErrorKind::DeadlineExceeded, "the deadline has passed already"));
        }
        Ok(())
    }
}
