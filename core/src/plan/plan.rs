//! A graph as steps over one arena.

use super::borders::{Placed, to_clear};
use super::layout::LayoutRules;
use super::lifetimes::{Lifetime, lifetimes};
use super::place::{Demand, GRANULE, Span, granules, place};
use super::schedule::schedule;
use super::step::{Step, TensorId};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph};
use libvision_kernels::cpu::layout::BlockedShape;
use std::ops::Range;

/// A tensor in the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTensor {
    /// The value it holds.
    pub name: String,
    /// Sizes of the value's axes.
    pub shape: Vec<Dim>,
    /// How one image of it lies in memory; the images of a batch lie back to back.
    pub layout: BlockedShape,
    /// When it is needed.
    pub lifetime: Lifetime,
    /// Where it starts in its replica, in floats.
    pub offset: usize,
}

/// Steps in order, and the place of every tensor between them. Knows no device but through the rules it
/// was made by.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) tensors: Vec<PlannedTensor>,
    pub(super) images: usize,
    pub(super) replicas: usize,
    /// Floats of one replica.
    tensor_floats: usize,
    workspace_floats: usize,
}

impl Plan {
    /// Plans a graph whose shapes are known, for 1 to `images` images at a time.
    pub fn new(graph: &Graph, rules: &dyn LayoutRules, images: usize) -> Result<Self> {
        let mut scheduled = schedule(graph, rules)?;
        let lifetimes = lifetimes(scheduled.tensors.len(), &scheduled.steps);
        let too_large = || {
            let message = format!("{images} images at a time exceed what can be addressed");
            Error::new(ErrorKind::OutOfMemory, message)
        };
        let mut demands = Vec::with_capacity(lifetimes.len());
        for (&(_, layout), &lifetime) in scheduled.tensors.iter().zip(&lifetimes) {
            let floats = layout.len().checked_mul(images).filter(|floats| *floats <= isize::MAX as usize);
            demands.push(Demand { layout, floats: floats.ok_or_else(too_large)?, lifetime });
        }
        let (offsets, tensor_floats) = place(&demands)?;
        let placed = demands.iter().zip(&offsets).map(|(demand, &start)| Placed {
            layout: demand.layout,
            span: Span { start, len: granules(demand.floats) },
            first: demand.lifetime.first,
        });
        let dirty = to_clear(&placed.collect::<Vec<_>>());
        for step in &mut scheduled.steps {
            step.clear_border = step.output.is_some_and(|tensor| dirty[tensor]);
        }
        let tensors = scheduled.tensors.iter().zip(lifetimes).zip(offsets);
        let tensors = tensors.map(|((&(id, layout), lifetime), offset)| {
            let value = graph.value(id);
            let shape = value.shape.clone().unwrap_or_default();
            PlannedTensor { name: value.name.clone(), shape, layout, lifetime, offset }
        });
        Ok(Self {
            tensors: tensors.collect(),
            steps: scheduled.steps,
            images,
            replicas: 1,
            tensor_floats,
            workspace_floats: 0,
        })
    }

    /// The same plan with the border of every output cleared: what others are compared with.
    #[cfg(test)]
    pub(crate) fn clearing_all_borders(mut self) -> Self {
        for step in &mut self.steps {
            step.clear_border = step.output.is_some();
        }
        self
    }

    /// Makes room behind the tensors for what kernels need while they run; the largest demand counts.
    pub fn reserve_workspace(&mut self, floats: usize) {
        self.workspace_floats = self.workspace_floats.max(granules(floats));
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The tensors, by [`TensorId`].
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.tensors
    }

    /// Images that go through a step together, at most.
    pub fn images(&self) -> usize {
        self.images
    }

    /// How often there is room for all tensors.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Makes room for all tensors so many times: what is in one replica can be at another step than what is in
    /// the others.
    pub fn set_replicas(&mut self, replicas: usize) {
        self.replicas = replicas;
    }

    /// Floats of the arena: tensors, then workspace.
    pub fn arena_floats(&self) -> usize {
        self.workspace_start() + self.workspace_floats
    }

    /// Where the workspace starts, in floats.
    pub fn workspace_start(&self) -> usize {
        self.replicas * self.tensor_floats
    }

    /// Where a tensor of `batch` images lies in a replica, in floats.
    pub fn range(&self, tensor: TensorId, replica: usize, batch: usize) -> Range<usize> {
        let PlannedTensor { offset, layout, .. } = &self.tensors[tensor];
        let start = replica * self.tensor_floats + offset;
        start..start + batch * layout.len()
    }

    /// Places for tensors that take so many bytes each, whatever their layouts say: an offset for each, a multiple
    /// of `alignment`, and the end of all. Tensors whose lifetimes overlap do not share memory.
    pub fn place_bytes(&self, bytes: &[usize], alignment: usize) -> Result<(Vec<usize>, usize)> {
        let demands = self.tensors.iter().zip(bytes).map(|(tensor, bytes)| Demand {
            layout: tensor.layout,
            floats: bytes.div_ceil(alignment).saturating_mul(GRANULE),
            lifetime: tensor.lifetime,
        });
        let (offsets, end) = place(&demands.collect::<Vec<_>>())?;
        let to_bytes = |floats: usize| {
            (floats / GRANULE).checked_mul(alignment).ok_or_else(|| {
                Error::new(ErrorKind::OutOfMemory, "the tensors of one batch exceed what can be addressed")
            })
        };
        Ok((offsets.into_iter().map(to_bytes).collect::<Result<_>>()?, to_bytes(end)?))
    }

    /// Floats that no plan could do without: the most that tensors need in one step.
    pub fn least_floats(&self) -> usize {
        let live = |step: usize| {
            let tensors = self.tensors.iter();
            let live = tensors.filter(|t| t.lifetime.first <= step && step <= t.lifetime.last);
            live.map(|tensor| granules(tensor.layout.len() * self.images)).sum()
        };
        (0..self.steps.len()).map(live).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Op, Output, Value, ValueId, ValueKind, infer_shapes};
    use crate::plan::Work;
    use crate::tensor::{DType, Tensor};
    use libvision_kernels::epilogue::Activation;
    use libvision_kernels::geometry::{Conv2dGeometry, Padding, Window};

    /// Eight lanes, borders as in the graph, pictures interleaved.
    struct Rules;

    impl LayoutRules for Rules {
        fn lanes(&self) -> usize {
            8
        }

        fn conv2d_border(&self, geometry: &Conv2dGeometry) -> Padding {
            geometry.window.padding
        }

        fn conv2d_input_lanes(&self, geometry: &Conv2dGeometry) -> usize {
            geometry.in_channels.min(8)
        }
    }

    fn graph(sizes: &[usize]) -> (Graph, ValueId) {
        let mut graph = Graph::default();
        let shape = std::iter::once(Dim::Batch).chain(sizes.iter().map(|size| Dim::Fixed(*size))).collect();
        let kind = ValueKind::Input;
        let x = graph.add_value(Value { name: "x".into(), kind, dtype: DType::F32, shape: Some(shape) });
        graph.inputs.push(x);
        (graph, x)
    }

    fn node(graph: &mut Graph, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = format!("node{}", graph.nodes.len());
        graph.add_node(name.clone(), op, inputs.to_vec(), format!("{name}:out"))
    }

    fn conv(graph: &mut Graph, x: ValueId, [from, to]: [usize; 2], padding: usize) -> ValueId {
        let window = Window::square(2 * padding + 1, 1, padding);
        let shape = [to, from, window.size[0], window.size[1]];
        let weights = Tensor::new(&shape, vec![0f32; shape.iter().product()]).expect("as many");
        let weights = graph.add_constant("weights", weights);
        let activation = Activation::Identity;
        let op = Op::Conv2d { window, groups: 1, has_bias: false, has_residual: false, activation };
        node(graph, op, &[x, weights])
    }

    fn plan(mut graph: Graph, output: ValueId) -> Result<Plan> {
        graph.outputs.push(Output { name: "y".into(), value: output });
        infer_shapes(&mut graph)?;
        Plan::new(&graph, &Rules, 3)
    }

    fn tensor<'p>(plan: &'p Plan, name: &str) -> &'p PlannedTensor {
        plan.tensors().iter().find(|tensor| tensor.name == name).expect("a tensor of this name")
    }

    #[test]
    fn a_tensor_has_the_largest_border_that_is_read() {
        let (mut graph, x) = graph(&[3, 9, 9]);
        let y = conv(&mut graph, x, [3, 12], 1);
        let a = conv(&mut graph, y, [12, 12], 2);
        let b = conv(&mut graph, y, [12, 12], 1);
        let sum = node(&mut graph, Op::Add { activation: Activation::Identity }, &[a, b]);
        let plan = plan(graph, sum).expect("a plan");
        let layout = |name| tensor(&plan, name).layout;
        assert_eq!(layout("x"), BlockedShape::new(3, 9, 9, 3).with_border(Padding::uniform(1)));
        assert_eq!(layout("node0:out"), BlockedShape::new(12, 9, 9, 8).with_border(Padding::uniform(2)));
        assert_eq!(layout("node1:out"), BlockedShape::new(12, 9, 9, 8));
    }

    #[test]
    fn a_picture_that_others_than_convolutions_read_has_the_lanes_of_the_rest() {
        let (mut graph, x) = graph(&[3, 9, 9]);
        let y = conv(&mut graph, x, [3, 3], 1);
        let sum = node(&mut graph, Op::Add { activation: Activation::Identity }, &[x, y]);
        let plan = plan(graph, sum).expect("a plan");
        assert_eq!(tensor(&plan, "x").layout.lanes, 8);
    }

    #[test]
    fn flattening_what_is_plain_makes_no_step() {
        let (mut graph, x) = graph(&[20, 4, 4]);
        let mean = node(&mut graph, Op::GlobalAveragePool { keep_dims: true }, &[x]);
        let flat = node(&mut graph, Op::Flatten, &[mean]);
        let scores = node(&mut graph, Op::Softmax, &[flat]);
        let plan = plan(graph, scores).expect("a plan");
        let works: Vec<Work> = plan.steps().iter().map(|step| step.work).collect();
        let expected = [
            Work::Load { input: 0 },
            Work::Compute { node: 0 },
            Work::Compute { node: 2 },
            Work::Store { output: 0 },
        ];
        assert_eq!(works, expected);
        assert_eq!(plan.tensors()[1].layout, BlockedShape::plain(20, 1, 1));
        assert_eq!(plan.steps()[2].inputs, [Some(1)]);
    }

    #[test]
    fn an_output_is_stored_as_soon_as_it_is_there_and_its_place_used_again() {
        let (mut graph, x) = graph(&[8, 5, 5]);
        let mut y = x;
        for _ in 0..4 {
            y = node(&mut graph, Op::Activate(Activation::Relu), &[y]);
        }
        let early = graph.nodes[0].output;
        graph.outputs.push(Output { name: "early".into(), value: early });
        let plan = plan(graph, y).expect("a plan");
        assert_eq!(plan.steps()[2].work, Work::Store { output: 0 });
        let floats: usize = 3 * 8 * 25;
        assert_eq!(plan.arena_floats(), 2 * floats.next_multiple_of(16));
        assert_eq!(plan.least_floats(), plan.arena_floats());
        assert_eq!(plan.range(4, 0, 2).len(), 2 * 8 * 25);
    }

    #[test]
    fn replicas_lie_one_after_the_other_before_the_workspace() {
        let (mut graph, x) = graph(&[8, 5, 5]);
        let y = node(&mut graph, Op::Activate(Activation::Relu), &[x]);
        let mut plan = plan(graph, y).expect("a plan");
        let replica = plan.workspace_start();
        plan.set_replicas(3);
        plan.reserve_workspace(100);
        assert_eq!(plan.workspace_start(), 3 * replica);
        assert_eq!(plan.arena_floats(), 3 * replica + 112);
        let [first, last] = [0, 2].map(|index| plan.range(1, index, 3));
        assert_eq!(last.start, first.start + 2 * replica);
        assert!(last.end <= plan.workspace_start());
    }

    #[test]
    fn tensors_of_other_sizes_are_placed_by_the_same_lifetimes() {
        let (mut graph, x) = graph(&[8, 5, 5]);
        let mut y = x;
        for _ in 0..4 {
            y = node(&mut graph, Op::Activate(Activation::Relu), &[y]);
        }
        let plan = plan(graph, y).expect("a plan");
        let bytes = [1000, 10, 257, 300, 700];
        let (offsets, end) = plan.place_bytes(&bytes, 256).expect("small");
        assert!(offsets.iter().all(|offset| offset % 256 == 0) && end == 1024 + 256, "{offsets:?}, {end}");
        for step in plan.steps() {
            for (input, output) in step.inputs.iter().flatten().zip(step.output) {
                let apart = |a: usize, b: usize| offsets[a] + bytes[a] <= offsets[b];
                assert!(apart(*input, output) || apart(output, *input), "{offsets:?}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_an_error_that_names_it() {
        let (mut graph_, x) = graph(&[1, 1 << 13, 1 << 13]);
        let y = node(&mut graph_, Op::Activate(Activation::Relu), &[x]);
        let error = plan(graph_, y).expect_err("over a gibibyte in eight lanes");
        assert_eq!(error.kind(), ErrorKind::ModelTooLarge);
        assert!(error.message().contains("\"x\""), "{error:?}");

        let (mut graph_, x) = graph(&[usize::MAX, usize::MAX, 2]);
        let y = node(&mut graph_, Op::Flatten, &[x]);
        graph_.outputs.push(Output { name: "y".into(), value: y });
        let error = Plan::new(&graph_, &Rules, 1).expect_err("more than can be addressed");
        assert_eq!(error.kind(), ErrorKind::ModelTooLarge);

        let (mut graph_, mut x) = graph(&[1]);
        for _ in 0..=1 << 13 {
            x = node(&mut graph_, Op::Softmax, &[x]);
        }
        let error = plan(graph_, x).expect_err("too many nodes");
        assert!(error.message().contains("8193 nodes"), "{error:?}");
    }
}
