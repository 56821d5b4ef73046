//! Which memory layout each value of a graph has.

use super::step::Work;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, Node, Op, Value, ValueId, describe_node, show_shape};
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::geometry::{Conv2dGeometry, Padding};

/// Floats that a tensor may take for one image, border and filling included: one gibibyte.
const MAX_FLOATS_PER_IMAGE: u128 = 1 << 28;

/// What a kind of device wants of the layout.
pub trait LayoutRules {
    /// Channels that lie next to each other.
    fn lanes(&self) -> usize;

    /// The zero border that this convolution needs around its input.
    fn conv2d_border(&self, geometry: &Conv2dGeometry) -> Padding;

    /// The lanes that suit a graph input which only this convolution reads.
    fn conv2d_input_lanes(&self, geometry: &Conv2dGeometry) -> usize;
}

/// The sizes of a `Conv2d` node. The shapes of its inputs must be known and fit.
pub fn conv2d_geometry(graph: &Graph, node: &Node) -> Result<Conv2dGeometry> {
    let invalid =
        |what: String| Error::new(ErrorKind::ModelInvalid, format!("{}: {what}", describe_node(node)));
    let shape = |input: usize| {
        let value = node.inputs.get(input).map(|&id| graph.value(id));
        value.and_then(|value| value.shape.as_deref()).unwrap_or_default()
    };
    let (Op::Conv2d { window, groups, .. }, &[_, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)]) =
        (&node.op, shape(0))
    else {
        return Err(invalid(format!("expected an input [N,C,H,W], found {}", show_shape(shape(0)))));
    };
    let Some(&Dim::Fixed(outputs)) = shape(1).first() else {
        return Err(invalid(format!("expected weights [O,C,H,W], found {}", show_shape(shape(1)))));
    };
    Conv2dGeometry::new(c, outputs, *groups, *window, [h, w]).map_err(|error| invalid(error.to_string()))
}

/// The layout of the values that steps read and write, by the value's index; none for constants.
///
/// `[N,K]` is plain. `[N,C,H,W]` has the device's lanes and the largest border that a convolution needs of
/// it; where it is only flattened, and its producer can write any layout, it is the plain row that comes of
/// that. Fails with `OPERATOR_UNSUPPORTED` for other shapes.
pub(super) fn choose(graph: &Graph, rules: &dyn LayoutRules) -> Result<Vec<Option<BlockedShape>>> {
    let mut readers = vec![Vec::new(); graph.values.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        for (position, input) in node.inputs.iter().enumerate() {
            readers[input.index()].push((index, position));
        }
    }
    let mut layouts = vec![None; graph.values.len()];
    let inputs = graph.inputs.iter().enumerate().map(|(input, &value)| (Work::Load { input }, value));
    let nodes = graph.nodes.iter().enumerate().map(|(node, n)| (Work::Compute { node }, n.output));
    for (source, id) in inputs.chain(nodes) {
        let layout = one(graph, rules, source, id, &readers[id.index()])?;
        check_size(source_name(graph, source, id), &layout)?;
        layouts[id.index()] = Some(layout);
    }
    Ok(layouts)
}

fn one(
    graph: &Graph,
    rules: &dyn LayoutRules,
    source: Work,
    id: ValueId,
    readers: &[(usize, usize)],
) -> Result<BlockedShape> {
    let Value { shape, .. } = graph.value(id);
    let name = || source_name(graph, source, id);
    let shape = shape.as_deref().ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("{}: its shape has not been inferred", name()))
    })?;
    if shape.contains(&Dim::Fixed(0)) {
        return Err(Error::new(
            ErrorKind::ModelInvalid,
            format!("{}: expected sizes of at least 1, found {}", name(), show_shape(shape)),
        ));
    }
    match *shape {
        [Dim::Batch, Dim::Fixed(k)] => Ok(BlockedShape::plain(k, 1, 1)),
        [Dim::Batch, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] => {
            let image = BlockedShape::new(c, h, w, rules.lanes());
            check_size(name(), &image)?;
            image_layout(graph, rules, source, image, readers)
        }
        _ => Err(Error::new(
            ErrorKind::OperatorUnsupported,
            format!("{}: expected a tensor [N,K] or [N,C,H,W], found {}", name(), show_shape(shape)),
        )),
    }
}

fn image_layout(
    graph: &Graph,
    rules: &dyn LayoutRules,
    source: Work,
    image: BlockedShape,
    readers: &[(usize, usize)],
) -> Result<BlockedShape> {
    let is_flattened = |&(node, _): &(usize, usize)| graph.nodes[node].op == Op::Flatten;
    let (is_input, writes_any_layout) = match source {
        Work::Compute { node } => (false, matches!(graph.nodes[node].op, Op::GlobalAveragePool { .. })),
        Work::Load { .. } | Work::Store { .. } => (true, true),
    };
    if writes_any_layout && !readers.is_empty() && readers.iter().all(is_flattened) {
        return Ok(BlockedShape::plain(image.channels * image.height * image.width, 1, 1));
    }
    let mut border = Padding::default();
    let mut lanes = Vec::new();
    let mut convolutions = 0;
    for &(node, position) in readers {
        if position == 0 && matches!(graph.nodes[node].op, Op::Conv2d { .. }) {
            let geometry = conv2d_geometry(graph, &graph.nodes[node])?;
            border = larger(border, rules.conv2d_border(&geometry));
            lanes.push(rules.conv2d_input_lanes(&geometry));
            convolutions += 1;
        }
    }
    let mut layout = image.with_border(border);
    if is_input && convolutions == readers.len() && lanes.windows(2).all(|pair| pair[0] == pair[1]) {
        layout.lanes = lanes.first().copied().unwrap_or(layout.lanes);
    }
    Ok(layout)
}

fn larger(a: Padding, b: Padding) -> Padding {
    Padding {
        top: a.top.max(b.top),
        left: a.left.max(b.left),
        bottom: a.bottom.max(b.bottom),
        right: a.right.max(b.right),
    }
}

/// Refuses what could not be addressed; everything after this may compute with sizes freely.
fn check_size(name: String, layout: &BlockedShape) -> Result<()> {
    let wide = |sizes: [usize; 3]| sizes.into_iter().map(|size| size as u128).sum::<u128>();
    let border = layout.border;
    let floats = [
        layout.blocks() as u128,
        layout.lanes as u128,
        wide([border.top, layout.height, border.bottom]),
        wide([border.left, layout.width, border.right]),
    ];
    let floats = floats.into_iter().try_fold(1u128, u128::checked_mul).unwrap_or(u128::MAX);
    if floats <= MAX_FLOATS_PER_IMAGE {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ModelTooLarge,
        format!(
            "{name}: its output takes {floats} floats per image, and the limit is {MAX_FLOATS_PER_IMAGE}"
        ),
    ))
}

fn source_name(graph: &Graph, source: Work, id: ValueId) -> String {
    match source {
        Work::Compute { node } => describe_node(&graph.nodes[node]),
        Work::Load { .. } | Work::Store { .. } => format!("input {:?}", graph.value(id).name),
    }
}
