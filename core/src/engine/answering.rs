//! From the outputs of a run to one answer, written to the memory of an answer that was used before.

use super::request::{Prediction, Response};
use crate::backend::TensorSpec;
use crate::error::Result;
use crate::postprocess::{Ranked, write_label};
use crate::tensor::Tensor;
use smallvec::SmallVec;

impl Response {
    /// Classes and nothing else, with their names.
    pub(super) fn set_predictions(&mut self, ranked: &[Ranked], labels: &[String]) {
        self.outputs.clear();
        self.predictions.resize_with(ranked.len(), Prediction::default);
        for (prediction, &Ranked { class_index, score }) in self.predictions.iter_mut().zip(ranked) {
            (prediction.class_index, prediction.score) = (class_index, score);
            prediction.label.clear();
            write_label(&mut prediction.label, labels, class_index);
        }
    }

    /// Outputs and nothing else, each with its elements for so many images.
    pub(super) fn set_outputs<'a>(
        &mut self,
        outputs: impl Iterator<Item = (&'a TensorSpec, &'a [f32])>,
        images: usize,
    ) -> Result<()> {
        self.predictions.clear();
        let mut set = 0;
        for (spec, elements) in outputs {
            if set == self.outputs.len() {
                self.outputs.push((String::new(), Tensor::default()));
            }
            let (name, tensor) = &mut self.outputs[set];
            name.clear();
            name.push_str(&spec.name);
            let shape: SmallVec<[usize; 4]> = spec.sizes(images).collect();
            tensor.overwrite(&shape, elements)?;
            set += 1;
        }
        self.outputs.truncate(set);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dim;
    use crate::tensor::DType;

    fn spec(name: &str, size: usize) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, shape: vec![Dim::Batch, Dim::Fixed(size)] }
    }

    #[test]
    fn nothing_is_left_of_the_answer_before() {
        let mut response = Response::default();
        let (x, y) = (spec("x", 2), spec("long name", 1));
        response.set_outputs([(&x, &[1.0, 2.0][..]), (&y, &[3.0])].into_iter(), 1).expect("sizes fit");
        let kept = response.clone();
        response.set_outputs([(&y, &[4.0, 5.0][..])].into_iter(), 2).expect("sizes fit");
        let of = |name: &str, shape: &[usize], elements: &[f32]| {
            (name.to_owned(), Tensor::new(shape, elements.to_vec()).expect("sizes fit"))
        };
        assert_eq!(response.outputs, [of("long name", &[2, 1], &[4.0, 5.0])]);
        assert_eq!(kept.outputs, [of("x", &[1, 2], &[1.0, 2.0]), of("long name", &[1, 1], &[3.0])]);
        let ranked = [Ranked { class_index: 1, score: 0.5 }, Ranked { class_index: 7, score: 0.25 }];
        let labels = ["a", "b"].map(str::to_owned);
        response.set_predictions(&ranked, &labels);
        response.set_predictions(&ranked[1..], &labels);
        assert!(response.outputs.is_empty());
        assert_eq!(response.predictions, [Prediction { class_index: 7, label: "7".into(), score: 0.25 }]);
    }

    #[test]
    fn an_answer_of_the_same_size_is_written_to_the_same_memory() {
        let (mut response, x) = (Response::default(), spec("x", 100));
        response.set_outputs([(&x, &[1.0; 100][..])].into_iter(), 1).expect("sizes fit");
        let before = response.outputs[0].1.bytes().as_ptr();
        response.set_outputs([(&x, &[2.0; 100][..])].into_iter(), 1).expect("sizes fit");
        assert_eq!(response.outputs[0].1.bytes().as_ptr(), before);
        assert_eq!(response.outputs[0].1.elements::<f32>().expect("f32")[..], [2.0; 100]);
    }
}
