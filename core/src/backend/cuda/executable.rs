//! A graph lowered for a device: kernels, places, packed weights; and the device that it is resident on.

use super::context::CudaContext;
use super::device_pool::{Ledger, Place};
use super::form::Form;
use super::kernels::{Lowered, Work};
use super::lower::{CudaRules, Network};
use super::preprocess::Preprocessing;
use super::probe::DeviceFacts;
use super::resident::{Resident, Residents};
use crate::backend::{
    CompileOptions, Executable, ExecutionContext, MemoryNeed, PictureLoader, Precision, StepDescription,
    TensorSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, ValueId, show_shape};
use crate::plan::{Plan, TensorId};
use libvision_kernels::cuda::element::Element;
use std::fmt::Write;
use std::sync::Arc;

/// Where tensors start: what the widest loads of the kernels ask for, and two cache lines of the device.
const ALIGNMENT: usize = 256;

/// Immutable and shared by its contexts, but for what is on the device, which is made anew when that is lost.
pub(super) struct CudaExecutable {
    pub(super) plan: Plan,
    pub(super) network: Network,
    /// Of each tensor, for the largest batch.
    pub(super) places: Vec<Place>,
    pub(super) buckets: Vec<usize>,
    pub(super) separate_tensors: bool,
    /// The first step of the plan loads the only input then.
    pub(super) preprocessing: Option<Preprocessing>,
    facts: DeviceFacts,
    residents: Residents,
    element: Element,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    arena_bytes: usize,
}

impl CudaExecutable {
    /// Lowers `graph`, packs its weights and copies them to the device.
    pub(super) fn new(
        graph: &Graph,
        options: &CompileOptions,
        facts: &DeviceFacts,
        separate_tensors: bool,
    ) -> Result<Self> {
        let max_batch_size = options.max_batch_size.min(graph.batch_limit.unwrap_or(usize::MAX));
        if max_batch_size == 0 {
            return Err(invalid("max_batch_size: expected at least 1, found 0"));
        }
        if options.tuning.is_some() {
            return Err(Error::new(
                ErrorKind::TuningMismatch,
                "tuning: it is for a CPU; leave it out for a CUDA device",
            ));
        }
        let element = match options.precision {
            Precision::Auto if options.precise => Element::F32,
            Precision::Auto | Precision::F16 => Element::F16,
            Precision::Bf16 => Element::Bf16,
            Precision::F32 => Element::F32,
        };
        let plan = Plan::new(graph, &CudaRules, max_batch_size)?;
        let mut network = Network::new(graph, &plan, element)?;
        let preprocessing = options.preprocessing.as_ref().and_then(|wanted| {
            Preprocessing::new(wanted, only_input(&plan, &network)?, &mut network.weights)
        });
        let (places, arena_bytes) = place(&plan, &network.forms, max_batch_size)?;
        for (step, lowered) in plan.steps().iter().zip(&network.steps) {
            // Sizes that a kernel cannot count are found now, and not by the first full batch.
            if let Some(Err(error)) = lowered.launch(max_batch_size, Default::default()) {
                return Err(Error::new(ErrorKind::OutOfMemory, format!("step {:?}: {error}", step.name)));
            }
        }
        if let Some(Err(error)) = preprocessing.as_ref().map(|it| it.launch(max_batch_size, [0; 3])) {
            return Err(Error::new(ErrorKind::OutOfMemory, format!("preprocessing: {error}")));
        }
        let spec = |name: &str, id: ValueId| {
            let value = graph.value(id);
            TensorSpec {
                name: name.to_owned(),
                dtype: value.dtype,
                shape: value.shape.clone().unwrap_or_default(),
            }
        };
        let executable = Self {
            places,
            buckets: buckets(&options.batch_buckets, max_batch_size),
            separate_tensors,
            preprocessing,
            facts: facts.clone(),
            residents: Residents::new(facts.ordinal, Ledger::new(options.device_memory_limit)),
            element,
            inputs: graph.inputs.iter().map(|&id| spec(&graph.value(id).name, id)).collect(),
            outputs: graph.outputs.iter().map(|output| spec(&output.name, output.value)).collect(),
            arena_bytes,
            plan,
            network,
        };
        // Everything that can be refused is refused here: images, weights, the limit.
        executable.resident()?;
        Ok(executable)
    }

    /// What is on the device, put there anew if it was lost.
    pub(super) fn resident(&self) -> Result<Arc<Resident>> {
        let steps = self.network.steps.iter().map(|step| step.algorithm());
        let kernels = steps.chain(self.preprocessing.iter().map(Preprocessing::algorithm));
        self.residents.get(self.network.weights.bytes(), kernels.filter(|name| !name.is_empty()))
    }

    pub(super) fn residents(&self) -> &Residents {
        &self.residents
    }

    /// The smallest size that is prepared for and holds `batch` images: its number and the size.
    pub(super) fn bucket(&self, batch: usize) -> (usize, usize) {
        let number = self.buckets.partition_point(|size| *size < batch).min(self.buckets.len() - 1);
        (number, self.buckets[number])
    }

    /// The step that loads this input, and the form of what it loads; `None` if nothing reads the input.
    pub(super) fn loaded(&self, input: usize) -> Option<(TensorId, Form)> {
        let steps = self.plan.steps().iter().zip(&self.network.steps);
        let mut loads =
            steps.filter(|(_, lowered)| matches!(lowered.work, Work::Upload { input: i } if i == input));
        let tensor = loads.next()?.0.output?;
        Some((tensor, self.network.forms[tensor]))
    }

    /// The tensor that is stored to this output, and its form.
    pub(super) fn stored(&self, output: usize) -> Result<(TensorId, Form)> {
        let is_store = |work: &Work| matches!(work, Work::Download { output: o } if *o == output);
        let tensor = self.network.steps.iter().find(|step| is_store(&step.work)).and_then(|step| step.first);
        let tensor = tensor.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("output {output} is stored by no step"))
        })?;
        Ok((tensor, self.network.forms[tensor]))
    }
}

/// The form of the only input, if the plan begins with loading it.
fn only_input(plan: &Plan, network: &Network) -> Option<Form> {
    let loads = network.steps.iter().filter(|step| matches!(step.work, Work::Upload { .. })).count();
    match (&network.steps[..], plan.steps()) {
        ([Lowered { work: Work::Upload { .. }, .. }, ..], [first, ..]) if loads == 1 => {
            Some(network.forms[first.output?])
        }
        _ => None,
    }
}

/// Places for the tensors of the largest batch, and the end of all.
fn place(plan: &Plan, forms: &[Form], images: usize) -> Result<(Vec<Place>, usize)> {
    let bytes = forms.iter().map(|form| form.bytes().checked_mul(images));
    let bytes: Option<Vec<usize>> = bytes.collect();
    let bytes = bytes.ok_or_else(|| {
        Error::new(ErrorKind::OutOfMemory, format!("{images} images at a time exceed what can be addressed"))
    })?;
    let (offsets, end) = plan.place_bytes(&bytes, ALIGNMENT)?;
    Ok((offsets.into_iter().zip(bytes).map(|(offset, bytes)| Place { offset, bytes }).collect(), end))
}

/// The sizes that were asked for, or powers of two, up to the largest batch, and that.
fn buckets(wanted: &[usize], max_batch_size: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
    let powers = powers.take_while(|size| *size < max_batch_size);
    let mut sizes: Vec<usize> = if wanted.is_empty() { powers.collect() } else { wanted.to_vec() };
    sizes.retain(|size| (1..max_batch_size).contains(size));
    sizes.push(max_batch_size);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

impl Executable for CudaExecutable {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn max_batch_size(&self) -> usize {
        *self.buckets.last().unwrap_or(&1)
    }

    fn batch_buckets(&self) -> &[usize] {
        &self.buckets
    }

    fn useful_contexts(&self) -> usize {
        1 + usize::from(self.facts.copies_beside)
    }

    fn precision(&self) -> Precision {
        match self.element {
            Element::F16 => Precision::F16,
            Element::Bf16 => Precision::Bf16,
            Element::F32 => Precision::F32,
        }
    }

    fn memory_need(&self) -> MemoryNeed {
        let pictures = self.preprocessing.as_ref().map_or(0, |it| it.bytes(self.max_batch_size()));
        MemoryNeed {
            weights: self.network.weights.bytes().len(),
            arena: self.arena_bytes.saturating_add(pictures),
        }
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "device: {}\ncomputes in {}, sums in f32; at most {} images per run, recorded for {:?}\n",
            self.facts.describe(),
            self.element.name(),
            self.max_batch_size(),
            self.buckets
        );
        if let Some(preprocessing) = &self.preprocessing {
            let (kernel, bytes) = (preprocessing.algorithm(), preprocessing.loader.slot_bytes());
            // Writing to a string does not fail.
            let _ =
                writeln!(text, "pictures of up to {bytes} bytes are preprocessed on the device by {kernel}");
        }
        for (index, (step, lowered)) in self.plan.steps().iter().zip(&self.network.steps).enumerate() {
            // Writing to a string does not fail.
            let _ = write!(text, "{index:>4}  {} {:?}", step.operation, step.name);
            if let Some(id) = step.output {
                let Place { offset, bytes } = self.places[id];
                let shape = show_shape(&self.plan.tensors()[id].shape);
                let _ = write!(text, " -> {shape}, arena {offset}..{} bytes", offset + bytes);
            }
            let algorithm = lowered.algorithm();
            let _ = match algorithm {
                "" => writeln!(text),
                name => writeln!(text, ", {name}"),
            };
        }
        let MemoryNeed { weights, arena } = self.memory_need();
        let _ = writeln!(text, "packed weights: {weights} bytes, arena of a context: {arena} bytes");
        text
    }

    fn steps(&self) -> Vec<StepDescription> {
        let steps = self.plan.steps().iter().zip(&self.network.steps);
        let describe = steps.map(|(step, lowered)| StepDescription {
            name: step.name.clone(),
            operation: step.operation.clone(),
            shape: step.output.or(lowered.first).map_or(vec![], |id| self.plan.tensors()[id].shape.clone()),
            algorithm: lowered.algorithm(),
            multiplications: lowered.multiplications(),
            convolution: lowered.convolution(),
            is_transfer: matches!(lowered.work, Work::Upload { .. } | Work::Download { .. }),
        });
        describe.collect()
    }

    fn picture_loader(&self) -> Option<Arc<dyn PictureLoader>> {
        self.preprocessing.as_ref().map(|it| Arc::clone(&it.loader) as Arc<dyn PictureLoader>)
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        Ok(Box::new(CudaContext::new(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::buckets;

    #[test]
    fn buckets_end_in_the_largest_batch() {
        assert_eq!(buckets(&[], 1), [1]);
        assert_eq!(buckets(&[], 2), [1, 2]);
        assert_eq!(buckets(&[], 8), [1, 2, 4, 8]);
        assert_eq!(buckets(&[], 11), [1, 2, 4, 8, 11]);
        assert_eq!(buckets(&[6, 3, 3, 99, 0], 8), [3, 6, 8]);
    }
}
