//! Two-dimensional convolution: checks the shapes, chooses an algorithm, packs the weights once.

mod algorithm;
mod direct;
mod folded;
mod grouped;
mod offsets;
mod winograd;

pub use algorithm::ConvAlgorithm;
pub(crate) use grouped::{Grouped, GroupedFn};
pub(crate) use winograd::{
    F23, F43, F43AtUse, F44, F53, FilterTransform, InputTransform, Middle, MultiplyPoint, Outer,
    OutputTransform, PointProductFn, Transforms, WinogradKernels,
};

use super::layout::BlockedShape;
use super::variants::KernelSet;
use super::weight::Weight;
use crate::epilogue::Epilogue;
use crate::geometry::{Conv2dGeometry, GeometryError, Padding};
use crate::parallel::{Parallel, Parts};
use direct::Direct;
use folded::Folded;
use grouped::GroupedConv;
use winograd::{Scheme, Winograd};

/// What the choice of an algorithm may depend on besides the geometry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConvOptions {
    /// Only algorithms that multiply inputs and weights as they are. Winograd's errs up to ten times more:
    /// about 1e-5 of a layer's largest value.
    pub precise: bool,
    /// In place of the choice by cost: one of [`Conv2d::candidates`].
    pub algorithm: Option<ConvAlgorithm>,
}

/// A convolution and the tensors it works on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dSpec {
    /// Sizes of one image.
    pub geometry: Conv2dGeometry,
    /// Layout of the input. Its lanes are those of the kernel set, or at least the input channels (the
    /// interleaved network input); its border is at least [`Conv2d::input_border`].
    pub input: BlockedShape,
    /// Layout of the output, with the kernel set's lanes and any border.
    pub output: BlockedShape,
    /// Layout of the tensor to add, with the kernel set's lanes and any border.
    pub residual: Option<BlockedShape>,
    /// What follows the sums. `epilogue.residual` says the same as `residual.is_some()`.
    pub epilogue: Epilogue,
    /// Choice of the algorithm.
    pub options: ConvOptions,
}

/// A convolution with packed weights, for any batch. Shared by threads.
///
/// Each output value is a sum in an order that only the shapes and the kernel set fix: it has the same
/// bits in any batch, at any place of it and with any number of threads.
pub struct Conv2d {
    spec: Conv2dSpec,
    algorithm: Algorithm,
}

enum Algorithm {
    Direct(Direct),
    Grouped(GroupedConv),
    Winograd(Box<Winograd>),
    Folded(Box<Folded>),
}

impl Conv2d {
    /// The border that the input needs around it, for the algorithm that these arguments choose.
    pub fn input_border(_set: &KernelSet, geometry: &Conv2dGeometry, options: ConvOptions) -> Padding {
        match scheme(geometry, options) {
            Some(scheme) => scheme.border(geometry),
            None => offsets::border(geometry),
        }
    }

    /// What can compute this geometry on an input in the kernel set's lanes, where there is a choice; otherwise
    /// empty. An interleaved input is computed without regard to what is asked for.
    pub fn candidates(geometry: &Conv2dGeometry, precise: bool) -> Vec<ConvAlgorithm> {
        let winograd = winograd::suitable(geometry).filter(|_| !precise);
        let winograd: Vec<_> = winograd.filter_map(|scheme| ConvAlgorithm::by_name(scheme.name())).collect();
        let direct = (!winograd.is_empty()).then_some(ConvAlgorithm::Direct);
        direct.into_iter().chain(winograd).collect()
    }

    /// The lanes that suit a tensor which only this convolution reads and which is written by a
    /// conversion: interleaved for an image of few channels, the kernel set's otherwise.
    pub fn preferred_input_lanes(set: &KernelSet, geometry: &Conv2dGeometry) -> usize {
        if geometry.in_channels * 2 <= set.lanes { geometry.in_channels } else { set.lanes }
    }

    /// Packs `weights`, plain `[out_channels, in_channels / groups, height, width]`, and `bias`, one per
    /// output channel. Fails if sizes, borders or lanes do not fit together.
    pub fn new<W: Weight>(
        set: &'static KernelSet,
        spec: Conv2dSpec,
        weights: &[W],
        bias: Option<&[f32]>,
    ) -> Result<Self, GeometryError> {
        check(set, &spec, weights, bias)?;
        let g = &spec.geometry;
        let algorithm = if let Some(grouped) = GroupedConv::new(set, &spec, weights, bias) {
            Algorithm::Grouped(grouped)
        } else if let Some(scheme) = scheme(g, spec.options).filter(|_| spec.input.lanes == set.lanes) {
            Algorithm::Winograd(Box::new(Winograd::new(set, scheme, &spec, weights, bias)))
        } else if let Some(folded) = Folded::new(set, &spec, weights, bias) {
            Algorithm::Folded(Box::new(folded))
        } else {
            Algorithm::Direct(Direct::new(set, &spec, weights, bias))
        };
        Ok(Self { spec, algorithm })
    }

    /// Convolves `batch` images. Writes the inside of `output` and its lanes beyond the last channel;
    /// leaves its border alone.
    ///
    /// `workspace` holds at least `workspace_len(parallel.threads())` floats, of any content. Panics if a
    /// slice is shorter or longer than its shape says.
    pub fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        workspace: &mut [f32],
    ) {
        assert_eq!(input.len(), batch * self.spec.input.len(), "input of a convolution");
        assert_eq!(output.len(), batch * self.spec.output.len(), "output of a convolution");
        assert_eq!(
            residual.map(<[f32]>::len),
            self.spec.residual.map(|shape| batch * shape.len()),
            "residual of a convolution"
        );
        assert!(workspace.len() >= self.workspace_len(parallel.threads()), "workspace of a convolution");
        match &self.algorithm {
            Algorithm::Direct(direct) => direct.run(parallel, batch, input, residual, &Parts::new(output)),
            Algorithm::Grouped(grouped) => {
                grouped.run(parallel, batch, input, residual, &Parts::new(output));
            }
            Algorithm::Winograd(winograd) => {
                winograd.run(parallel, batch, input, residual, &Parts::new(output), workspace);
            }
            Algorithm::Folded(folded) => {
                folded.run(parallel, batch, input, residual, output, workspace);
            }
        }
    }

    /// Floats of workspace that a run with so many threads needs.
    pub fn workspace_len(&self, threads: usize) -> usize {
        match &self.algorithm {
            Algorithm::Direct(_) | Algorithm::Grouped(_) => 0,
            Algorithm::Winograd(winograd) => winograd.workspace_len(threads),
            Algorithm::Folded(folded) => folded.workspace_len(threads),
        }
    }

    /// Bytes of packed weights and tables.
    pub fn packed_bytes(&self) -> usize {
        match &self.algorithm {
            Algorithm::Direct(direct) => direct.bytes(),
            Algorithm::Grouped(grouped) => grouped.bytes(),
            Algorithm::Winograd(winograd) => winograd.bytes(),
            Algorithm::Folded(folded) => folded.bytes(),
        }
    }

    /// The name of the algorithm chosen.
    pub fn algorithm(&self) -> &'static str {
        match &self.algorithm {
            Algorithm::Direct(_) => "direct",
            Algorithm::Grouped(grouped) => grouped.name(),
            Algorithm::Winograd(winograd) => winograd.name(),
            Algorithm::Folded(folded) => folded.name(),
        }
    }

    /// Sizes of one image.
    pub fn geometry(&self) -> &Conv2dGeometry {
        &self.spec.geometry
    }

    /// Multiplications of direct convolution, per image: what rates are reckoned by, whatever the algorithm.
    pub fn multiplications(&self) -> usize {
        self.spec.geometry.multiplications()
    }
}

/// The form of Winograd convolution to use, if any.
fn scheme(g: &Conv2dGeometry, options: ConvOptions) -> Option<&'static Scheme> {
    match options.algorithm {
        _ if options.precise => None,
        Some(algorithm) => winograd::suitable(g).find(|scheme| scheme.name() == algorithm.name()),
        None => winograd::choose(g),
    }
}

fn check<W: Weight>(
    set: &KernelSet,
    spec: &Conv2dSpec,
    weights: &[W],
    bias: Option<&[f32]>,
) -> Result<(), GeometryError> {
    let g = &spec.geometry;
    let expected = |what: &str, channels: usize, [height, width]: [usize; 2]| {
        format!("{what} of a convolution: expected {channels} channels of {height} x {width}")
    };
    let is_size = |shape: &BlockedShape, channels: usize, size: [usize; 2]| {
        shape.channels == channels && [shape.height, shape.width] == size
    };
    if !is_size(&spec.input, g.in_channels, g.input) {
        return Err(GeometryError::new(format!(
            "{}, found {:?}",
            expected("input", g.in_channels, g.input),
            spec.input
        )));
    }
    if spec.input.lanes != set.lanes && spec.input.lanes < g.in_channels {
        return Err(GeometryError::new(format!(
            "input of a convolution: expected {} lanes or at least its {} channels, found {}",
            set.lanes, g.in_channels, spec.input.lanes
        )));
    }
    for (what, shape) in [("output", Some(spec.output)), ("residual", spec.residual)] {
        let Some(shape) = shape else { continue };
        if !is_size(&shape, g.out_channels, g.output) || shape.lanes != set.lanes {
            return Err(GeometryError::new(format!(
                "{} in {} lanes, found {shape:?}",
                expected(what, g.out_channels, g.output),
                set.lanes
            )));
        }
    }
    let candidates = Conv2d::candidates(g, spec.options.precise);
    if let Some(asked) = spec.options.algorithm.filter(|asked| !candidates.contains(asked)) {
        let names: Vec<&str> = candidates.into_iter().map(ConvAlgorithm::name).collect();
        return Err(GeometryError::new(format!(
            "algorithm of a convolution: expected one of [{}], which can compute it, found {}",
            names.join(", "),
            asked.name()
        )));
    }
    let (need, have) = (Conv2d::input_border(set, g, spec.options), spec.input.border);
    if have.top < need.top || have.left < need.left || have.bottom < need.bottom || have.right < need.right {
        return Err(GeometryError::new(format!(
            "input of a convolution: expected a border of at least {need:?}, found {have:?}"
        )));
    }
    let [o, i, h, w] = g.weight_shape();
    if weights.len() != o * i * h * w {
        return Err(GeometryError::new(format!(
            "weights of a convolution: expected {o} x {i} x {h} x {w} values, found {}",
            weights.len()
        )));
    }
    if bias.is_some_and(|bias| bias.len() != g.out_channels) {
        return Err(GeometryError::new(format!(
            "bias of a convolution: expected {} values, found {}",
            g.out_channels,
            bias.map_or(0, <[f32]>::len)
        )));
    }
    if spec.epilogue.bias != bias.is_some() || spec.epilogue.residual != spec.residual.is_some() {
        return Err(GeometryError::new(
            "epilogue of a convolution: its flags differ from the bias and the residual given",
        ));
    }
    Ok(())
}
