//! Reads the safetensors format: names to tensors that share the file.
//!
//! Format: <https://huggingface.co/docs/safetensors/index#format>. Eight bytes with the length of a JSON
//! header, the header, the elements. The header is read entry by entry into what is needed of it, so that
//! a hostile one cannot ask for much more memory than it has bytes.

use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{DType, Tensor, element_count};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Longest header: a thousand times that of a small ResNet.
const MAX_HEADER_BYTES: usize = 8 << 20;

/// Most tensors in one file.
const MAX_TENSORS: usize = 1 << 14;

/// Most axes of one tensor.
const MAX_AXES: usize = 8;

/// One tensor as it is stored.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    dtype: String,
    shape: Vec<usize>,
    bytes: Bytes,
}

/// The tensors of one file, or of several that belong together.
pub type StoredTensors = BTreeMap<String, StoredTensor>;

impl StoredTensor {
    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The tensor as `f32`: shared with the file, or widened from `f16` or `bf16`. `name` is for errors.
    pub fn to_f32(&self, name: &str) -> Result<Tensor> {
        let dtype = match &self.dtype[..] {
            "F32" => return Tensor::from_bytes(DType::F32, &self.shape, self.bytes.clone()),
            "F16" => DType::F16,
            "BF16" => DType::BF16,
            other => {
                return Err(Error::new(
                    ErrorKind::OperatorUnsupported,
                    format!("tensor {name:?}: expected elements F32, F16 or BF16, found {other}"),
                ));
            }
        };
        let stored = Tensor::from_bytes(dtype, &self.shape, self.bytes.clone())?;
        Tensor::new(&self.shape, stored.to_f32()?.into_owned())
    }
}

/// Reads one file. Fails with `MODEL_CORRUPT` naming the tensor that does not lie where the header says, or
/// `MODEL_TOO_LARGE` for a header over the limits.
pub fn read(file: Bytes) -> Result<StoredTensors> {
    let (length, rest) = file
        .split_first_chunk()
        .ok_or_else(|| corrupt(format!("{} bytes are too few for the length of a header", file.len())))?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length)).ok_or_else(|| {
        corrupt(format!("its header should have {length} bytes, and {} are left", rest.len()))
    })?;
    if header.len() > MAX_HEADER_BYTES {
        return Err(Error::new(
            ErrorKind::ModelTooLarge,
            format!("a header of {} bytes is over the limit of {MAX_HEADER_BYTES}", header.len()),
        ));
    }
    let data = file.slice(8 + header.len()..);
    let Header(entries) = serde_json::from_slice(header)
        .map_err(|error| corrupt(format!("its header is not as expected: {error}")))?;
    check_ranges(&entries, data.len())?;
    let tensors = entries.into_iter().map(|(name, entry)| {
        let [start, end] = entry.data_offsets;
        let bytes = data.slice(start..end);
        check_size(&name, &entry, bytes.len())?;
        Ok((name, StoredTensor { dtype: entry.dtype, shape: entry.shape.0, bytes }))
    });
    tensors.collect()
}

/// The format allows neither gaps nor overlaps.
fn check_ranges(entries: &BTreeMap<String, Entry>, data: usize) -> Result<()> {
    let mut ranges: Vec<(&str, [usize; 2])> =
        entries.iter().map(|(name, entry)| (name.as_str(), entry.data_offsets)).collect();
    ranges.sort_by_key(|(_, range)| *range);
    let mut next = 0;
    for (name, [start, end]) in ranges {
        if start != next || end < start || end > data {
            return Err(corrupt(format!(
                "tensor {name:?}: found at bytes {start} to {end}, expected a range from {next} on within {data}"
            )));
        }
        next = end;
    }
    match next == data {
        true => Ok(()),
        false => Err(corrupt(format!("{data} bytes of elements, of which the tensors take {next}"))),
    }
}

fn check_size(name: &str, entry: &Entry, found: usize) -> Result<()> {
    let width = match &entry.dtype[..] {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" | "C64" => 8,
        // A type of another size than whole bytes, or a newer one: an error if the tensor is asked for.
        _ => return Ok(()),
    };
    let need = element_count(&entry.shape.0).and_then(|count| count.checked_mul(width));
    match need == Some(found) {
        true => Ok(()),
        false => Err(corrupt(format!(
            "tensor {name:?}: shape {:?} of {} does not fit its {found} bytes",
            entry.shape.0, entry.dtype
        ))),
    }
}

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::ModelCorrupt, format!("not a safetensors file, or damaged: {message}"))
}

struct Header(BTreeMap<String, Entry>);

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Shape,
    data_offsets: [usize; 2],
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry per tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if entries.len() == MAX_TENSORS {
                return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
            }
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("two tensors are named {name:?}")));
            }
            let entry = map.next_value()?;
            entries.insert(name, entry);
        }
        Ok(Header(entries))
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sizes of axes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> std::result::Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(size) = sizes.next_element()? {
            if shape.len() == MAX_AXES {
                return Err(A::Error::custom(format!("more than {MAX_AXES} axes")));
            }
            shape.push(size);
        }
        Ok(Shape(shape))
    }
}
