//! Images whose answers are known: every worker must give them, with the same bits, at every batch size and at
//! every place of a batch, before it serves and from time to time while it does.

use super::machine::Shape;
use crate::backend::{ExecutionContext, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::AlignedFloats;
use crate::model::{GOLDEN_IMAGES as IMAGES, Golden, golden_image};
use parking_lot::Mutex;
use std::sync::Arc;

/// The outputs for one image.
type Answer = Vec<Vec<f32>>;

/// What a worker runs to prove itself.
pub(super) struct Proof {
    /// Images, one after the other, at the smallest size.
    images: usize,
    /// Sizes at which they are run together, ascending.
    sizes: Vec<usize>,
}

impl Proof {
    /// All images, and every bucket; without buckets the smallest batch and the largest, or one image if
    /// [that proves all](crate::backend::Executable::one_image_proves_all).
    pub(super) fn of(shape: &Shape, one_image_proves_all: bool) -> Self {
        match (shape.buckets.is_empty(), one_image_proves_all) {
            (true, true) => Self { images: 1, sizes: Vec::new() },
            (true, false) => Self { images: IMAGES, sizes: vec![1, shape.max_batch_size] },
            (false, _) => Self { images: IMAGES, sizes: shape.buckets.clone() },
        }
    }
}

/// The images of one model and their answers, for all its workers.
pub(super) struct SelfTest {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    /// What the model's files say that the answers are.
    stored: Option<Golden>,
    /// By image and output; unknown until the first worker has run.
    answers: Mutex<Arc<Vec<Answer>>>,
    /// A batch of each input, for tests while the engine serves.
    batch: Vec<AlignedFloats>,
    size: usize,
}

impl SelfTest {
    /// Fails with `OUT_OF_MEMORY`. `size` is the smallest batch that workers run.
    pub(super) fn new(
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
        stored: Option<Golden>,
        size: usize,
    ) -> Result<Self> {
        let batch = batch_of(inputs, size, |_| 0)?;
        Ok(Self {
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            stored,
            answers: Mutex::default(),
            batch,
            size,
        })
    }

    /// Runs what the proof asks for, ascending from the smallest size. Fails with `SELF_TEST_FAILED`, naming what
    /// differs, or as a run does. `results` are buffers for the outputs of the largest size.
    pub(super) fn prove(
        &self,
        context: &mut dyn ExecutionContext,
        results: &mut [AlignedFloats],
        proof: &Proof,
    ) -> Result<()> {
        for image in 0..proof.images {
            let batch = batch_of(&self.inputs, self.size, |_| image)?;
            self.run(context, results, self.size, &batch)?;
            self.learn(image, results)?;
            self.compare(results, self.size, |_| image)?;
        }
        for &size in proof.sizes.iter().filter(|size| **size != self.size) {
            let batch = batch_of(&self.inputs, size, mixed)?;
            self.run(context, results, size, &batch)?;
            self.compare(results, size, mixed)?;
        }
        Ok(())
    }

    /// Runs the first image once, in memory of its own. Without a proof before, the first answer of all is
    /// taken for right.
    pub(super) fn check(
        &self,
        context: &mut dyn ExecutionContext,
        results: &mut [AlignedFloats],
    ) -> Result<()> {
        self.run(context, results, self.size, &self.batch)?;
        self.learn(0, results)?;
        self.compare(results, self.size, |_| 0)
    }

    fn run(
        &self,
        context: &mut dyn ExecutionContext,
        results: &mut [AlignedFloats],
        size: usize,
        batch: &[AlignedFloats],
    ) -> Result<()> {
        let inputs: Vec<&[f32]> = batch.iter().map(|input| &**input).collect();
        let whole = |(result, spec): (_, &TensorSpec)| {
            let result: &mut AlignedFloats = result;
            &mut result[..size * spec.elements_per_image()]
        };
        let mut outputs: Vec<&mut [f32]> = results.iter_mut().zip(&self.outputs).map(whole).collect();
        // What an earlier run left there is no answer.
        outputs.iter_mut().for_each(|output| output.fill(f32::NAN));
        context.run(size, &inputs, &mut outputs)
    }

    /// Keeps the answer of the first place of a batch if nobody has said it before, once it is what the model's
    /// files say.
    fn learn(&self, image: usize, results: &[AlignedFloats]) -> Result<()> {
        let mut answers = self.answers.lock();
        if answers.len() > image {
            return Ok(());
        }
        let first =
            |(result, spec): (&AlignedFloats, &TensorSpec)| result[..spec.elements_per_image()].to_vec();
        let answer: Answer = results.iter().zip(&self.outputs).map(first).collect();
        if let Some(stored) = &self.stored {
            let named =
                self.outputs.iter().zip(&answer).map(|(spec, values)| (spec.name.as_str(), &values[..]));
            stored.check(image, named)?;
        }
        Arc::make_mut(&mut answers).push(answer);
        Ok(())
    }

    fn compare(&self, results: &[AlignedFloats], size: usize, image: impl Fn(usize) -> usize) -> Result<()> {
        let answers = Arc::clone(&self.answers.lock());
        for (output, (result, spec)) in results.iter().zip(&self.outputs).enumerate() {
            let length = spec.elements_per_image();
            for place in 0..size {
                let Some(expected) = answers.get(image(place)).map(|answer| &answer[output]) else {
                    continue;
                };
                let found = &result[place * length..][..length];
                let differs =
                    |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
                if let Some(at) = expected.iter().zip(found).position(differs) {
                    let message = format!(
                        "output {:?}, element {at}, of a known image at place {place} of a batch of {size}: \
                         expected {:e}, found {:e}",
                        spec.name, expected[at], found[at]
                    );
                    return Err(Error::new(ErrorKind::SelfTestFailed, message));
                }
            }
        }
        Ok(())
    }
}

/// Which image is where in a mixed batch: the Thue-Morse sequence, which is unlike itself however it is moved.
fn mixed(place: usize) -> usize {
    place.count_ones() as usize % IMAGES
}

fn batch_of(
    inputs: &[TensorSpec],
    size: usize,
    image: impl Fn(usize) -> usize,
) -> Result<Vec<AlignedFloats>> {
    let batch = |(input, spec): (usize, &TensorSpec)| {
        let length = spec.elements_per_image();
        let mut floats = AlignedFloats::zeroed(size.saturating_mul(length))?;
        for (place, part) in floats.chunks_exact_mut(length.max(1)).enumerate() {
            part.copy_from_slice(&golden_image(image(place), input, length));
        }
        Ok(floats)
    };
    let all: Result<_> = inputs.iter().enumerate().map(batch).collect();
    all.map_err(|error: Error| error.context("images whose answers are known"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dim;
    use crate::tensor::DType;

    /// Doubles its input, but for what goes wrong.
    struct Double {
        wrong: Option<(usize, usize)>,
        runs: Vec<usize>,
    }

    impl ExecutionContext for Double {
        fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
            self.runs.push(batch);
            for (to, from) in outputs[0].iter_mut().zip(inputs[0]) {
                *to = 2.0 * from;
            }
            if let Some((size, place)) = self.wrong
                && size == batch
            {
                let bits = outputs[0][3 * place + 1].to_bits();
                outputs[0][3 * place + 1] = f32::from_bits(bits ^ 1);
            }
            Ok(())
        }
    }

    fn spec(name: &str) -> TensorSpec {
        TensorSpec { name: name.into(), dtype: DType::F32, shape: vec![Dim::Batch, Dim::Fixed(3)] }
    }

    fn all(sizes: &[usize]) -> Proof {
        Proof { images: IMAGES, sizes: sizes.to_vec() }
    }

    fn test(stored: Option<Golden>) -> (SelfTest, Vec<AlignedFloats>) {
        let test = SelfTest::new(&[spec("x")], &[spec("y")], stored, 1).expect("memory");
        (test, vec![AlignedFloats::zeroed(3 * 8).expect("memory")])
    }

    #[test]
    fn one_wrong_bit_at_any_place_of_any_size_is_found() {
        let (test, mut results) = test(None);
        let mut good = Double { wrong: None, runs: Vec::new() };
        test.prove(&mut good, &mut results, &all(&[1, 4, 8])).expect("all the same");
        assert_eq!(good.runs, [1, 1, 4, 8]);
        for (size, places) in [(1, 1), (4, 4), (8, 8)] {
            for place in 0..places {
                let mut bad = Double { wrong: Some((size, place)), runs: Vec::new() };
                let error = test.prove(&mut bad, &mut results, &all(&[1, 4, 8])).expect_err("a wrong bit");
                assert_eq!(error.kind(), ErrorKind::SelfTestFailed);
                assert!(error.message().contains("\"y\", element 1"), "{error}");
                assert_eq!(test.check(&mut bad, &mut results).is_err(), size == 1);
            }
        }
        assert!(test.check(&mut good, &mut results).is_ok());
    }

    #[test]
    fn a_proof_leaves_nothing_out_that_could_differ() {
        let proof = |buckets: &[usize], alike| {
            let (buckets, max_batch_size) = (buckets.to_vec(), 8);
            let shape = Shape { max_batch_size, buckets, decoders: 1, workers: 1, stagings: 3 };
            let Proof { images, sizes } = Proof::of(&shape, alike);
            (images, sizes)
        };
        assert_eq!(proof(&[1, 4, 8], true), (IMAGES, vec![1, 4, 8]));
        assert_eq!(proof(&[], false), (IMAGES, vec![1, 8]));
        assert_eq!(proof(&[], true), (1, vec![]));
    }

    #[test]
    fn neighbours_differ_at_every_shift() {
        for shift in 1..8 {
            assert!((0..8).any(|place| mixed(place) != mixed(place + shift)), "{shift}");
        }
    }

    #[test]
    fn stored_answers_are_binding_and_a_wrong_first_run_is_not_learned() {
        let images: Vec<Vec<f32>> =
            (0..IMAGES).map(|image| golden_image(image, 0, 3).iter().map(|x| 2.0 * x).collect()).collect();
        let stored =
            Golden::new(1e-4, images.into_iter().map(|y| vec![("y".to_owned(), y)]).collect()).expect("good");
        let (test, mut results) = test(Some(stored));
        struct Triple;
        impl ExecutionContext for Triple {
            fn run(&mut self, _: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
                outputs[0].iter_mut().zip(inputs[0]).for_each(|(to, from)| *to = 3.0 * from);
                Ok(())
            }
        }
        let error = test.prove(&mut Triple, &mut results, &all(&[1])).expect_err("not what is stored");
        assert_eq!(error.kind(), ErrorKind::SelfTestFailed);
        let mut good = Double { wrong: None, runs: Vec::new() };
        test.prove(&mut good, &mut results, &all(&[1, 8])).expect("as stored");
    }
}
