//! From the shapes of a node's inputs to the shape of its output, with every check that kernels rely on.

use super::{Dim, Graph, Node, Op, ValueId};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::DType;
use libvision_kernels::geometry::{Conv2dGeometry, Pool2dGeometry, Window};

/// Elements that a value may have for one image: one gibibyte of `f32`.
const MAX_ELEMENTS_PER_IMAGE: usize = 1 << 28;

/// Sets the shape and element type of every produced value. Fails with `MODEL_INVALID` naming the node
/// whose inputs do not fit it, or `MODEL_TOO_LARGE` for a value over 1 GiB per image.
pub fn infer_shapes(graph: &mut Graph) -> Result<()> {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let shape = output_shape(graph, node)?;
        let output = node.output;
        let value = graph
            .values
            .get_mut(output.0)
            .ok_or_else(|| Error::new(ErrorKind::ModelInvalid, format!("there is no value {}", output.0)))?;
        value.shape = Some(shape);
        value.dtype = DType::F32;
    }
    Ok(())
}

/// The shape of `node`'s output, from the shapes of its inputs.
pub(crate) fn output_shape(graph: &Graph, node: &Node) -> Result<Vec<Dim>> {
    let inputs = Inputs { graph, node };
    inputs.check_arity()?;
    let shape = match &node.op {
        Op::Conv2d { window, groups, has_bias, has_residual, .. } => {
            inputs.conv2d(window, *groups, *has_bias, *has_residual)?
        }
        Op::BatchNorm { .. } => {
            let shape = inputs.shape(0)?;
            let channels = inputs.fixed(0, 1)?;
            for parameter in 1..5 {
                inputs.expect(parameter, &[Dim::Fixed(channels)])?;
            }
            shape.to_vec()
        }
        Op::Activate(_) => inputs.shape(0)?.to_vec(),
        Op::Add { .. } | Op::Mul => broadcast(inputs.shape(0)?, inputs.shape(1)?).ok_or_else(|| {
            inputs.error(format!("{} and {} do not broadcast", inputs.show(0), inputs.show(1)))
        })?,
        Op::MaxPool { window } => inputs.pool2d(window)?,
        Op::AveragePool { window, .. } => inputs.pool2d(window)?,
        Op::GlobalAveragePool { keep_dims } => {
            let [batch, channels, _, _] = inputs.image(0)?;
            match keep_dims {
                true => vec![batch, channels, Dim::Fixed(1), Dim::Fixed(1)],
                false => vec![batch, channels],
            }
        }
        Op::Flatten => {
            let [batch, rest @ ..] = inputs.shape(0)? else {
                return Err(inputs.error("expected at least one axis, found a scalar"));
            };
            let product = rest.iter().try_fold(1usize, |product, dim| match dim {
                Dim::Fixed(size) => product.checked_mul(*size),
                Dim::Batch => None,
            });
            let product =
                product.ok_or_else(|| inputs.error(format!("cannot flatten {}", inputs.show(0))))?;
            vec![*batch, Dim::Fixed(product)]
        }
        Op::Linear { has_bias, .. } => inputs.linear(*has_bias)?,
        Op::Softmax => match inputs.shape(0)? {
            shape @ [_, _] => shape.to_vec(),
            _ => return Err(inputs.error(format!("expected [N,K], found {}", inputs.show(0)))),
        },
    };
    let elements = shape.iter().try_fold(1usize, |product, dim| match dim {
        Dim::Fixed(size) => product.checked_mul(*size),
        Dim::Batch => Some(product),
    });
    match elements {
        Some(elements) if elements <= MAX_ELEMENTS_PER_IMAGE => Ok(shape),
        _ => Err(Error::new(
            ErrorKind::ModelTooLarge,
            format!(
                "{}: its output {} is over the limit of {MAX_ELEMENTS_PER_IMAGE} elements per image",
                describe(node),
                show_shape(&shape)
            ),
        )),
    }
}

/// The shape of an element-wise result under ONNX's (NumPy's) broadcasting, if the two fit.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let axis = |shape: &[Dim], i: usize| {
        (i + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |axis| shape[axis])
    };
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (a, b) if a == b => Some(a),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other),
            _ => None,
        })
        .collect()
}

/// `node "layer1.0.conv1" (Conv2d)`
pub(crate) fn describe(node: &Node) -> String {
    format!("node {:?} ({})", node.name, node.op.name())
}

/// `[N,64,56,56]`
pub fn show_shape(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => size.to_string(),
            Dim::Batch => "N".into(),
        })
        .collect();
    format!("[{}]", dims.join(","))
}

/// How many inputs `op` takes.
pub(crate) fn arity(op: &Op) -> usize {
    match op {
        Op::Conv2d { has_bias, has_residual, .. } => 2 + usize::from(*has_bias) + usize::from(*has_residual),
        Op::BatchNorm { .. } => 5,
        Op::Add { .. } | Op::Mul => 2,
        Op::Linear { has_bias, .. } => 2 + usize::from(*has_bias),
        Op::Activate(_)
        | Op::MaxPool { .. }
        | Op::AveragePool { .. }
        | Op::GlobalAveragePool { .. }
        | Op::Flatten
        | Op::Softmax => 1,
    }
}

/// The inputs of one node, with errors that name it.
struct Inputs<'g> {
    graph: &'g Graph,
    node: &'g Node,
}

impl<'g> Inputs<'g> {
    fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::ModelInvalid, format!("{}: {message}", describe(self.node)))
    }

    fn check_arity(&self) -> Result<()> {
        let (expected, found) = (arity(&self.node.op), self.node.inputs.len());
        if expected != found {
            return Err(self.error(format!("expected {expected} inputs, found {found}")));
        }
        Ok(())
    }

    fn shape(&self, input: usize) -> Result<&'g [Dim]> {
        let id: ValueId = self.node.inputs[input];
        let value =
            self.graph.values.get(id.0).ok_or_else(|| self.error(format!("there is no value {}", id.0)))?;
        value
            .shape
            .as_deref()
            .ok_or_else(|| self.error(format!("the shape of its input {:?} is not known", value.name)))
    }

    fn show(&self, input: usize) -> String {
        self.shape(input).map(show_shape).unwrap_or_default()
    }

    fn expect(&self, input: usize, expected: &[Dim]) -> Result<()> {
        if self.shape(input)? == expected {
            return Ok(());
        }
        let name = &self.graph.value(self.node.inputs[input]).name;
        Err(self.error(format!(
            "expected input {name:?} of shape {}, found {}",
            show_shape(expected),
            self.show(input)
        )))
    }

    /// The size of one axis, which must not be the batch.
    fn fixed(&self, input: usize, axis: usize) -> Result<usize> {
        match self.shape(input)?.get(axis) {
            Some(Dim::Fixed(size)) => Ok(*size),
            _ => Err(self.error(format!("expected a fixed size of axis {axis}, found {}", self.show(input)))),
        }
    }

    /// A shape `[N,C,H,W]` with fixed C, H and W.
    fn image(&self, input: usize) -> Result<[Dim; 4]> {
        match *self.shape(input)? {
            [batch, c @ Dim::Fixed(_), h @ Dim::Fixed(_), w @ Dim::Fixed(_)] => Ok([batch, c, h, w]),
            _ => Err(self.error(format!("expected [N,C,H,W], found {}", self.show(input)))),
        }
    }

    fn conv2d(&self, window: &Window, groups: usize, has_bias: bool, has_residual: bool) -> Result<Vec<Dim>> {
        let batch = self.image(0)?[0];
        let [channels, height, width] = [self.fixed(0, 1)?, self.fixed(0, 2)?, self.fixed(0, 3)?];
        let out_channels = self.fixed(1, 0)?;
        let geometry = Conv2dGeometry::new(channels, out_channels, groups, *window, [height, width])
            .map_err(|error| self.error(error))?;
        self.expect(1, &geometry.weight_shape().map(Dim::Fixed))?;
        if has_bias {
            self.expect(2, &[Dim::Fixed(out_channels)])?;
        }
        let [out_height, out_width] = geometry.output;
        let shape = vec![batch, Dim::Fixed(out_channels), Dim::Fixed(out_height), Dim::Fixed(out_width)];
        if has_residual {
            self.expect(2 + usize::from(has_bias), &shape)?;
        }
        Ok(shape)
    }

    fn pool2d(&self, window: &Window) -> Result<Vec<Dim>> {
        let [batch, channels, _, _] = self.image(0)?;
        let [c, height, width] = [self.fixed(0, 1)?, self.fixed(0, 2)?, self.fixed(0, 3)?];
        let p = window.padding;
        let borders = [p.top.max(p.bottom), p.left.max(p.right)];
        for (axis, border) in borders.into_iter().enumerate() {
            // Otherwise a window could lie in the border alone, and its maximum or mean is undefined.
            if border >= window.size[axis] {
                return Err(self.error(format!(
                    "expected a border smaller than the window, found a border of {border} and a window of {}",
                    window.size[axis]
                )));
            }
        }
        let geometry = Pool2dGeometry::new(c, *window, [height, width]).map_err(|error| self.error(error))?;
        let [out_height, out_width] = geometry.output;
        Ok(vec![batch, channels, Dim::Fixed(out_height), Dim::Fixed(out_width)])
    }

    fn linear(&self, has_bias: bool) -> Result<Vec<Dim>> {
        let &[batch, inputs @ Dim::Fixed(_)] = self.shape(0)? else {
            return Err(self.error(format!("expected [N,K], found {}", self.show(0))));
        };
        let outputs = Dim::Fixed(self.fixed(1, 0)?);
        self.expect(1, &[outputs, inputs])?;
        if has_bias {
            self.expect(2, &[outputs])?;
        }
        Ok(vec![batch, outputs])
    }
}
