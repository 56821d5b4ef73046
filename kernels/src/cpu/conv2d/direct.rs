//! Direct convolution: a matrix product over the taps of each window. Groups are blocks on the diagonal.

use super::{Conv2dSpec, offsets};
use crate::cpu::gemm::{AlignedFloats, Finish, Gemm, Operands, Packing, Panel, split_panels};
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use crate::geometry::Conv2dGeometry;
use crate::parallel::{Parallel, Parts};
use std::ops::Range;

pub(super) struct Direct {
    gemm: Gemm,
}

impl Direct {
    /// The sizes have been checked.
    pub(super) fn new<W: Weight>(
        set: &'static KernelSet,
        spec: &Conv2dSpec,
        weights: &[W],
        bias: Option<&[f32]>,
    ) -> Self {
        let g = &spec.geometry;
        let mut table = offsets::k_table(g, &spec.input, set.lanes);
        let is_blocked = spec.input.lanes == set.lanes;
        let whole = 0..table.len();
        let reach = |panel: &Panel| {
            if g.groups == 1 || !is_blocked { whole.clone() } else { group_segments(g, set.lanes, panel) }
        };
        let [_, group_inputs, height, width] = g.weight_shape();
        let (group_outputs, taps) = (g.out_channels / g.groups, height * width);
        let weight = |output: usize, channel: usize, tap: usize| {
            let first = if g.groups == 1 { 0 } else { output / group_outputs * group_inputs };
            match channel.checked_sub(first) {
                Some(c) if c < group_inputs => weights[(output * group_inputs + c) * taps + tap].value(),
                _ => 0.0,
            }
        };
        let panels = split_panels(spec.output.blocks(), set.tiles.vectors);
        let packing = Packing::new(panels, set.lanes, g.out_channels, &table, reach, weight);
        table.order = Vec::new();
        let residual = spec.residual.map(|shape| (offsets::pixels(&shape), shape.block_stride()));
        Self {
            gemm: Gemm {
                set,
                table,
                packing,
                bias: AlignedFloats::padded(bias, spec.output.blocks() * set.lanes),
                input_pixels: offsets::window_pixels(g, &spec.input),
                output_pixels: offsets::pixels(&spec.output),
                output_block: spec.output.block_stride(),
                residual,
                finish: Finish::new(spec.epilogue.activation),
            },
        }
    }

    /// The lengths have been checked.
    pub(super) fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
    ) {
        // SAFETY: the tables were made for shapes whose windows, borders included, lie within the tensors.
        unsafe { self.gemm.run(parallel, batch, Operands { input, residual, output }) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.gemm.bytes()
    }
}

/// Segments of the channel blocks that the groups of a panel's outputs read. Weights to channels of other
/// groups in them are zero.
fn group_segments(g: &Conv2dGeometry, lanes: usize, panel: &Panel) -> Range<usize> {
    let first = panel.first_block * lanes;
    let last = g.out_channels.min((panel.first_block + panel.vectors) * lanes) - 1;
    let (inputs, outputs) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let channels = first / outputs * inputs..(last / outputs + 1) * inputs;
    let taps = g.window.size[0] * g.window.size[1];
    channels.start / lanes * taps..channels.end.div_ceil(lanes) * taps
}
