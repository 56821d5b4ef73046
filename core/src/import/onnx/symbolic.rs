//! Whole numbers that exporters compute shapes with, folded while the file is read. The number of images
//! stays a symbol, so that `x.view(x.size(0), -1)` needs no number.

use super::tensors::MAX_INTEGERS;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Dim;

/// One number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Known now.
    Known(i64),
    /// The number of images.
    Batch,
}

/// A scalar (`sizes` is empty) or a list (`sizes` has one entry) of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbolic {
    pub(super) is_scalar: bool,
    pub(super) items: Vec<Size>,
}

impl Symbolic {
    /// A list.
    pub(super) fn list(items: Vec<Size>) -> Result<Self> {
        match items.len() > MAX_INTEGERS {
            true => Err(unsupported(format!("a list of {} whole numbers", items.len()))),
            false => Ok(Self { is_scalar: false, items }),
        }
    }

    /// A scalar.
    pub(super) fn scalar(item: Size) -> Self {
        Self { is_scalar: true, items: vec![item] }
    }

    /// From a constant in the file.
    pub(super) fn from_constant(sizes: &[usize], items: Vec<i64>) -> Result<Self> {
        let items = items.into_iter().map(Size::Known).collect();
        match sizes {
            [] => Ok(Self { is_scalar: true, items }),
            [_] => Self::list(items),
            _ => Err(unsupported(format!("whole numbers of shape {sizes:?}"))),
        }
    }

    /// A shape as the operator `Shape` gives it.
    pub(super) fn from_shape(shape: &[Dim]) -> Result<Self> {
        let size = |dim: &Dim| match *dim {
            Dim::Batch => Ok(Size::Batch),
            Dim::Fixed(size) => i64::try_from(size)
                .map(Size::Known)
                .map_err(|_| unsupported(format!("an axis of {size} elements"))),
        };
        Self::list(shape.iter().map(size).collect::<Result<_>>()?)
    }

    /// The numbers, if none is the number of images.
    pub(super) fn known(&self) -> Result<Vec<i64>> {
        self.items
            .iter()
            .map(|item| match item {
                Size::Known(number) => Ok(*number),
                Size::Batch => {
                    Err(unsupported("a number that depends on the batch, where it must be constant".into()))
                }
            })
            .collect()
    }

    /// The entries at `indices`, negative ones from the end.
    pub(super) fn gather(&self, indices: &Symbolic) -> Result<Self> {
        let items = indices
            .known()?
            .into_iter()
            .map(|index| {
                let length = self.items.len() as i64;
                let position = if index < 0 { index.saturating_add(length) } else { index };
                usize::try_from(position)
                    .ok()
                    .and_then(|position| self.items.get(position).copied())
                    .ok_or_else(|| invalid(format!("there is no entry {index} in a list of {length}")))
            })
            .collect::<Result<_>>()?;
        Ok(Self { is_scalar: indices.is_scalar, items })
    }

    /// `list[start..end]`, as ONNX clamps it.
    pub(super) fn slice(&self, start: i64, end: i64) -> Self {
        let length = self.items.len() as i64;
        let clamp = |index: i64| {
            let index = if index < 0 { index.saturating_add(length) } else { index };
            index.clamp(0, length) as usize
        };
        let (start, end) = (clamp(start), clamp(end));
        Self { is_scalar: false, items: self.items.get(start..end).unwrap_or_default().to_vec() }
    }

    /// The element-wise result for numbers that are known; the batch times or divided by one, plus or minus
    /// nothing, stays the batch. `operator` is `Add`, `Sub`, `Mul` or `Div`.
    pub(super) fn combine(&self, other: &Symbolic, operator: &str) -> Result<Self> {
        let (a, b) = (&self.items, &other.items);
        let length = match (a.len(), b.len()) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            (x, y) => return Err(invalid(format!("lists of {x} and {y} numbers do not broadcast"))),
        };
        let at = |items: &[Size], index: usize| items[if items.len() == 1 { 0 } else { index }];
        let items =
            (0..length).map(|index| combine(at(a, index), at(b, index), operator)).collect::<Result<_>>()?;
        Ok(Self { is_scalar: self.is_scalar && other.is_scalar, items })
    }
}

fn combine(a: Size, b: Size, operator: &str) -> Result<Size> {
    use Size::{Batch, Known};
    let number = match (a, b, operator) {
        (Batch, Known(1), "Mul" | "Div") | (Known(1), Batch, "Mul") => return Ok(Batch),
        (Batch, Known(0), "Add" | "Sub") | (Known(0), Batch, "Add") => return Ok(Batch),
        (Known(a), Known(b), "Add") => a.checked_add(b),
        (Known(a), Known(b), "Sub") => a.checked_sub(b),
        (Known(a), Known(b), "Mul") => a.checked_mul(b),
        (Known(a), Known(b), "Div") => a.checked_div(b),
        _ => return Err(unsupported(format!("{operator} on the number of images"))),
    };
    number.map(Known).ok_or_else(|| invalid(format!("{operator} of {a:?} and {b:?} has no result")))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::OperatorUnsupported, message)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::ModelInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::Size::{Batch, Known};
    use super::*;

    fn list(items: &[Size]) -> Symbolic {
        Symbolic { is_scalar: false, items: items.to_vec() }
    }

    #[test]
    fn the_batch_passes_through_what_leaves_it_alone() {
        let shape = Symbolic::from_shape(&[Dim::Batch, Dim::Fixed(8), Dim::Fixed(2)]).unwrap();
        let batch = shape.gather(&Symbolic::scalar(Known(0))).unwrap();
        assert_eq!(batch, Symbolic::scalar(Batch));
        assert_eq!(batch.combine(&Symbolic::scalar(Known(1)), "Mul").unwrap(), batch);
        assert!(batch.combine(&Symbolic::scalar(Known(2)), "Mul").is_err());
        assert_eq!(shape.slice(1, i64::MAX), list(&[Known(8), Known(2)]));
        assert_eq!(shape.slice(-1, 9), list(&[Known(2)]));
        assert_eq!(shape.slice(2, 1), list(&[]));
        assert_eq!(shape.gather(&list(&[Known(-1), Known(0)])).unwrap(), list(&[Known(2), Batch]));
    }

    #[test]
    fn numbers_out_of_range_are_errors() {
        let shape = list(&[Known(i64::MAX), Known(0)]);
        assert!(shape.gather(&Symbolic::scalar(Known(2))).is_err());
        assert!(shape.gather(&Symbolic::scalar(Known(i64::MIN))).is_err());
        assert!(shape.combine(&shape, "Mul").is_err());
        assert!(shape.combine(&shape, "Div").is_err());
    }
}
