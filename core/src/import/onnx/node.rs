//! One node of the file as translators see it: inputs and attributes with their types checked, and a way
//! to put nodes into the graph.

use super::attributes::Attributes;
use super::importer::Importer;
use super::messages::NodeProto;
use super::operand::{FloatConstant, Operand, View};
use super::symbolic::Symbolic;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Op, ValueId, show_shape};
use crate::tensor::Tensor;
use libvision_kernels::geometry::Padding;

/// One node that is being translated.
pub(super) struct NodeReader<'i, 'm> {
    pub(super) importer: &'i mut Importer<'m>,
    pub(super) proto: &'m NodeProto,
    pub(super) attributes: Attributes<'m>,
}

impl<'m> NodeReader<'_, 'm> {
    /// Version of the standard operators in the file.
    pub(super) fn opset(&self) -> i64 {
        self.importer.opset
    }

    /// Whether input `index` is given.
    pub(super) fn has_input(&self, index: usize) -> bool {
        self.proto.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// How many inputs are listed.
    pub(super) fn input_count(&self) -> usize {
        self.proto.input.len()
    }

    /// Input `index`, whatever it is.
    pub(super) fn input(&mut self, index: usize) -> Result<Operand> {
        match self.proto.input.get(index) {
            Some(name) if !name.is_empty() => self.importer.operand(name),
            _ => Err(invalid(format!("input {index} is missing"))),
        }
    }

    /// Input `index`, known only when the model runs, as it is seen.
    pub(super) fn view(&mut self, index: usize) -> Result<View> {
        match self.input(index)? {
            Operand::Runtime(view) => Ok(view),
            Operand::Float(_) | Operand::Integers(_) => Err(unsupported(format!(
                "input {:?} is a constant, expected one that depends on the picture",
                self.proto.input[index]
            ))),
            Operand::Unknown => Err(depends_on_unknown()),
        }
    }

    /// Input `index` as a value of the graph, known only when the model runs.
    pub(super) fn value(&mut self, index: usize) -> Result<ValueId> {
        let view = self.view(index)?;
        self.importer.value_of(&view)
    }

    /// The shape of input `index`, known only when the model runs, as `[N,C,H,W]`.
    pub(super) fn image_sizes(&mut self, index: usize) -> Result<[usize; 3]> {
        let view = self.view(index)?;
        match view.shape[..] {
            [Dim::Batch, Dim::Fixed(channels), Dim::Fixed(height), Dim::Fixed(width)] => {
                Ok([channels, height, width])
            }
            _ => Err(unsupported(format!(
                "expected an input [N,C,H,W], found {} (only two spatial axes are supported)",
                show_shape(&view.shape)
            ))),
        }
    }

    /// Input `index` as weights or as a value of the graph.
    pub(super) fn value_or_constant(&mut self, index: usize) -> Result<ValueId> {
        match self.input(index)? {
            Operand::Runtime(view) => self.importer.value_of(&view),
            Operand::Float(constant) => Ok(self.importer.constant_value(&constant)),
            Operand::Integers(_) => Err(unsupported(format!(
                "input {:?} holds whole numbers, expected floats",
                self.proto.input[index]
            ))),
            Operand::Unknown => Err(depends_on_unknown()),
        }
    }

    /// Input `index` as weights.
    pub(super) fn float_constant(&mut self, index: usize) -> Result<FloatConstant> {
        match self.input(index)? {
            Operand::Float(constant) => Ok(constant),
            Operand::Unknown => Err(depends_on_unknown()),
            Operand::Runtime(_) | Operand::Integers(_) => {
                Err(unsupported(format!("input {:?} must be a constant of floats", self.proto.input[index])))
            }
        }
    }

    /// Input `index` as one constant number; `None` if it is not given.
    pub(super) fn float_scalar(&mut self, index: usize) -> Result<Option<f32>> {
        if !self.has_input(index) {
            return Ok(None);
        }
        let FloatConstant { name, tensor } = self.float_constant(index)?;
        match tensor.to_f32()?[..] {
            [value] if !value.is_nan() => Ok(Some(value)),
            [_] => Err(invalid(format!("input {name:?} is NaN"))),
            _ => {
                Err(invalid(format!("input {name:?}: expected one number, found shape {:?}", tensor.shape())))
            }
        }
    }

    /// Input `index` as whole numbers.
    pub(super) fn integers(&mut self, index: usize) -> Result<Symbolic> {
        match self.input(index)? {
            Operand::Integers(numbers) => Ok(numbers),
            Operand::Unknown => Err(depends_on_unknown()),
            Operand::Runtime(_) => Err(unsupported(format!(
                "input {:?} depends on the picture, expected whole numbers that follow from shapes",
                self.proto.input[index]
            ))),
            Operand::Float(_) => Err(unsupported(format!(
                "input {:?} holds floats, expected whole numbers that follow from shapes",
                self.proto.input[index]
            ))),
        }
    }

    /// Axes from input `index` (newer operator sets) or from the attribute `axes` (older ones), each in
    /// `0..rank`; `None` if neither is given.
    pub(super) fn axes(&mut self, index: usize, rank: usize) -> Result<Option<Vec<usize>>> {
        let listed = if self.has_input(index) {
            self.integers(index)?.known()?
        } else {
            match self.attributes.ints("axes")? {
                Some(axes) => axes.to_vec(),
                None => return Ok(None),
            }
        };
        let mut axes = listed.into_iter().map(|axis| resolve_axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(invalid(format!("axes {axes:?} name one axis twice")));
        }
        Ok(Some(axes))
    }

    /// Adds a node under this node's name; its result is this node's first output.
    pub(super) fn emit(&mut self, op: Op, inputs: Vec<ValueId>) -> Result<Operand> {
        let output = self.proto.output.first().map(String::as_str).unwrap_or_default();
        let value = self.importer.add_node(self.proto.name(), op, inputs, output)?;
        Ok(Operand::Runtime(self.importer.view_of(value)))
    }

    /// A constant that was made from inputs of this node.
    pub(super) fn constant(&self, tensor: Tensor) -> FloatConstant {
        let output = self.proto.output.first().map(String::as_str).unwrap_or_default();
        FloatConstant { name: output.into(), tensor }
    }
}

/// `axis` counted from the front, where negative ones count from the end.
pub(super) fn resolve_axis(axis: i64, rank: usize) -> Result<usize> {
    let resolved = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    match usize::try_from(resolved) {
        Ok(resolved) if resolved < rank => Ok(resolved),
        _ => Err(invalid(format!("axis {axis} does not exist in {rank} axes"))),
    }
}

/// Whether the border has any pixels.
pub(super) fn is_bordered(border: Padding) -> bool {
    border != Padding::default()
}

pub(super) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::OperatorUnsupported, message)
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ModelInvalid, message)
}

/// The error of a node that reads the result of an unsupported one. It carries no message, so that only
/// the first cause is told.
fn depends_on_unknown() -> Error {
    unsupported("")
}
