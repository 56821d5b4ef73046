//! Protobuf's wire format: what decoding a model would allocate, counted before it is done, and the
//! packed numbers that `onnx.proto` declares as bytes.
//!
//! Two bytes of a file can ask for a whole empty node. Decoding is refused where the structure would take
//! far more memory than the file has bytes. Format: <https://protobuf.dev/programming-guides/encoding/>.

use super::messages::{
    AttributeProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
    tensor_shape_proto::Dimension,
};
use crate::error::{Error, ErrorKind, Result};
use std::mem::size_of;

/// What structure may take beyond the file's own size.
const ALLOWANCE: usize = 6 << 20;

/// What the importer keeps for each node, beside the message itself.
const PER_NODE: usize = 512;

#[derive(Clone, Copy)]
enum Message {
    Model,
    OperatorSet,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Entry,
}

/// What a field takes when it is decoded.
enum Field {
    /// A message; bytes for each.
    Message(Message, usize),
    /// Text; bytes for each beside the characters.
    Text(usize),
    /// Numbers, one or packed; bytes for each.
    Numbers(usize),
    /// A slice of the file.
    Shared(usize),
}

impl Message {
    /// The fields of `onnx.proto` that allocate.
    fn field(self, number: u64) -> Option<Field> {
        use Message as M;
        const TEXT: usize = size_of::<String>();
        const SLICE: usize = size_of::<bytes::Bytes>();
        Some(match (self, number) {
            (M::Model, 7) => Field::Message(M::Graph, 0),
            (M::Model, 8) => Field::Message(M::OperatorSet, size_of::<OperatorSetIdProto>()),
            (M::Graph, 1) => Field::Message(M::Node, size_of::<NodeProto>() + PER_NODE),
            (M::Graph, 5) => Field::Message(M::Tensor, size_of::<TensorProto>() + PER_NODE),
            (M::Graph, 11 | 12) => Field::Message(M::ValueInfo, size_of::<ValueInfoProto>() + PER_NODE),
            (M::Node, 1 | 2) => Field::Text(TEXT),
            (M::Node, 5) => Field::Message(M::Attribute, size_of::<AttributeProto>()),
            (M::Attribute, 5) => Field::Message(M::Tensor, size_of::<TensorProto>()),
            (M::Attribute, 7) => Field::Numbers(size_of::<f32>()),
            (M::Attribute, 8) | (M::Tensor, 1) => Field::Numbers(size_of::<i64>()),
            (M::Tensor, 4 | 5 | 7 | 10) => Field::Shared(SLICE),
            (M::Tensor, 13) => Field::Message(M::Entry, size_of::<StringStringEntryProto>()),
            (M::ValueInfo, 2) => Field::Message(M::Type, 0),
            (M::Type, 1) => Field::Message(M::TensorType, 0),
            (M::TensorType, 2) => Field::Message(M::Shape, 0),
            (M::Shape, 1) => Field::Message(M::Dimension, size_of::<Dimension>()),
            (M::Graph, 2)
            | (M::Node, 3 | 4 | 7)
            | (M::Attribute, 1 | 21)
            | (M::Tensor, 8)
            | (M::ValueInfo, 1)
            | (M::Dimension, 2)
            | (M::Entry, 1 | 2)
            | (M::OperatorSet, 1) => Field::Text(0),
            _ => return None,
        })
    }
}

/// Fails with `MODEL_TOO_LARGE` if decoding `file` as a `ModelProto` would allocate more than the file's
/// size plus 6 MiB, and with `MODEL_CORRUPT` if it is not in the wire format.
pub(super) fn check_cost(file: &[u8]) -> Result<()> {
    let limit = file.len().saturating_add(ALLOWANCE);
    let cost = cost(Message::Model, file)?;
    if cost > limit {
        return Err(Error::new(
            ErrorKind::ModelTooLarge,
            format!(
                "its nodes and names would take {cost} bytes, over the limit of {limit} for a file of {} bytes",
                file.len()
            ),
        ));
    }
    Ok(())
}

fn cost(message: Message, mut rest: &[u8]) -> Result<usize> {
    // Vectors double: the last growth of one leaves room for as many elements again, and for four at least.
    const GROWTH: usize = 2;
    let mut total = 0usize;
    let mut seen = [false; 24];
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let (number, wire_type) = (key >> 3, key & 7);
        let payload: &[u8] = match wire_type {
            0 => {
                varint(&mut rest)?;
                &[]
            }
            1 => take(&mut rest, 8)?,
            2 => {
                let length = varint(&mut rest)?;
                take(&mut rest, length)?
            }
            5 => take(&mut rest, 4)?,
            other => return Err(corrupt(format!("there is no wire type {other}"))),
        };
        let Some(field) = message.field(number) else { continue };
        // Past the table is no field of ours; `field` has already let those through as unknown.
        let first = usize::try_from(number).ok().and_then(|number| seen.get_mut(number)).map(|seen| {
            let first = !*seen;
            *seen = true;
            first
        });
        let elements = if first == Some(true) { 4 } else { GROWTH };
        let bytes = match field {
            Field::Message(message, size) => {
                size.saturating_mul(elements).saturating_add(cost(message, payload)?)
            }
            Field::Text(size) => size.saturating_mul(elements).saturating_add(payload.len().max(8)),
            Field::Numbers(size) if wire_type == 2 => {
                size.saturating_mul(payload.len().saturating_mul(GROWTH))
            }
            Field::Numbers(size) | Field::Shared(size) => size.saturating_mul(elements),
        };
        total = total.saturating_add(bytes);
    }
    Ok(total)
}

/// The next base-128 number.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for (index, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).wrapping_shl(7 * index as u32);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(corrupt("a number is cut off or too long"))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8]> {
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (taken, after) = split.ok_or_else(|| {
        corrupt(format!("a field of {length} bytes begins where {} bytes are left", rest.len()))
    })?;
    *rest = after;
    Ok(taken)
}

fn corrupt(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ModelCorrupt, format!("not an ONNX file, or cut off: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_length() {
        for value in [0u64, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            bytes.push(9);
            let mut rest = &bytes[..];
            assert_eq!(varint(&mut rest).unwrap(), value);
            assert_eq!(rest, [9]);
        }
        assert!(varint(&mut &[0x80u8; 11][..]).is_err());
        assert!(varint(&mut &[0x80u8][..]).is_err());
    }

    #[test]
    fn a_million_empty_nodes_are_refused_before_they_are_decoded() {
        let nodes = [0x0au8, 0].repeat(1 << 20);
        let mut file = vec![0x3a];
        prost::encoding::encode_varint(nodes.len() as u64, &mut file);
        file.extend(nodes);
        assert_eq!(check_cost(&file).unwrap_err().kind(), ErrorKind::ModelTooLarge);
    }
}
