//! Nodes whose inputs are all known are computed once, here.

use super::{Diagnostics, Pass};
use crate::error::Result;
use crate::graph::{GraphMutator, Node, Op};
use crate::tensor::{Tensor, element_count};

/// Results over this many elements stay nodes: folding must not blow a small file up.
const MAX_ELEMENTS: usize = 1 << 22;

/// Computes sums, products and activations of constants.
pub(super) struct FoldConstants;

impl Pass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold_constants"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes() {
            let node = graph.node(index).clone();
            let inputs: Option<Vec<Tensor>> =
                node.inputs.iter().map(|&input| graph.constant(input).cloned()).collect();
            let Some(inputs) = inputs else { continue };
            if let Some(result) = evaluate(&node, &inputs)? {
                let name = graph.graph().value(node.output).name.clone();
                let value = graph.add_constant(name, result);
                graph.bypass(index, value);
                diagnostics.fired(self.name(), &node.name, format!("{} of constants", node.op.name()));
            }
        }
        Ok(())
    }
}

fn evaluate(node: &Node, inputs: &[Tensor]) -> Result<Option<Tensor>> {
    let apply = |activation: libvision_kernels::epilogue::Activation, tensor: Tensor| {
        let elements = tensor.to_f32()?.iter().map(|&x| activation.apply(x)).collect();
        Tensor::new(tensor.shape(), elements)
    };
    Ok(match (&node.op, inputs) {
        (Op::Activate(activation), [x]) => Some(apply(*activation, x.clone())?),
        (Op::Add { activation }, [a, b]) => match elementwise(a, b, |a, b| a + b)? {
            Some(sum) => Some(apply(*activation, sum)?),
            None => None,
        },
        (Op::Mul, [a, b]) => elementwise(a, b, |a, b| a * b)?,
        _ => None,
    })
}

/// The element-wise result under NumPy's broadcasting; `None` if it is too large or the shapes do not fit.
fn elementwise(a: &Tensor, b: &Tensor, operator: fn(f32, f32) -> f32) -> Result<Option<Tensor>> {
    let rank = a.shape().len().max(b.shape().len());
    let size = |tensor: &Tensor, axis: usize| {
        (axis + tensor.shape().len()).checked_sub(rank).map_or(1, |axis| tensor.shape()[axis])
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => shape.push(x),
            (1, other) | (other, 1) => shape.push(other),
            _ => return Ok(None),
        }
    }
    let Some(count) = element_count(&shape).filter(|&count| count <= MAX_ELEMENTS) else {
        return Ok(None);
    };
    let (left, right) = (a.to_f32()?, b.to_f32()?);
    let position = |tensor: &Tensor, mut flat: usize| {
        let (mut offset, mut stride) = (0, 1);
        for axis in (0..rank).rev() {
            let (own, all) = (size(tensor, axis), shape[axis]);
            offset += if own == 1 { 0 } else { flat % all * stride };
            stride *= own;
            flat /= all;
        }
        offset
    };
    let elements = (0..count).map(|flat| operator(left[position(a, flat)], right[position(b, flat)]));
    Tensor::new(&shape, elements.collect()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let tensor = |shape: &[usize], start: f32| {
            let count = element_count(shape).unwrap();
            Tensor::new(shape, (0..count).map(|i| start + i as f32).collect::<Vec<f32>>()).unwrap()
        };
        let sum = elementwise(&tensor(&[2, 1], 0.0), &tensor(&[3], 10.0), |a, b| a + b).unwrap().unwrap();
        assert_eq!(sum.shape(), [2, 3]);
        assert_eq!(sum.elements::<f32>().unwrap()[..], [10.0, 11.0, 12.0, 11.0, 12.0, 13.0]);
        let scalar = elementwise(&tensor(&[], 2.0), &tensor(&[2, 2], 1.0), |a, b| a * b).unwrap().unwrap();
        assert_eq!(scalar.elements::<f32>().unwrap()[..], [2.0, 4.0, 6.0, 8.0]);
        assert!(elementwise(&tensor(&[2], 0.0), &tensor(&[3], 0.0), |a, b| a + b).unwrap().is_none());
    }
}
