//! Builds small ONNX files in memory, so that tests show the file they are about.

#![allow(dead_code, reason = "each test binary uses a part")]

use bytes::Bytes;
use libvision::Result;
use libvision::graph::Graph;
use libvision::import::onnx::proto::attribute_proto::AttributeType;
use libvision::import::onnx::proto::tensor_proto::DataType;
use libvision::import::onnx::proto::*;
use libvision::import::onnx::{OnnxOptions, import};
use libvision::memory::ReadOptions;
use prost::Message;

/// Imports a model that needs nothing beside it.
pub fn import_model(model: &ModelProto) -> Result<Graph> {
    import_bytes(model.encode_to_vec())
}

/// Imports a file that needs nothing beside it.
pub fn import_bytes(file: Vec<u8>) -> Result<Graph> {
    import(file.into(), alone())
}

/// Options for a file that needs nothing beside it.
pub fn alone() -> OnnxOptions<'static> {
    let read = ReadOptions { memory_map: true, max_bytes: 1 << 20 };
    OnnxOptions { folder: None, read, input_size: None }
}

/// A model of one input `x` of these sizes (a negative one is a symbol), these nodes and constants, and the
/// output `y`.
pub fn model(sizes: &[i64], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    model_of_opset(17, sizes, nodes, constants)
}

/// The same for a version of the operators.
pub fn model_of_opset(
    opset: i64,
    sizes: &[i64],
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(opset) }],
        graph: Some(GraphProto {
            name: Some("test".into()),
            node: nodes,
            initializer: constants,
            input: vec![input("x", DataType::Float, sizes)],
            output: vec![ValueInfoProto { name: Some("y".into()), r#type: None }],
        }),
    }
}

/// A declared input.
pub fn input(name: &str, elements: DataType, sizes: &[i64]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = sizes
        .iter()
        .enumerate()
        .map(|(axis, &size)| {
            let value = if size < 0 { Value::DimParam(format!("d{axis}")) } else { Value::DimValue(size) };
            Dimension { value: Some(value) }
        })
        .collect();
    let tensor =
        type_proto::Tensor { elem_type: Some(elements as i32), shape: Some(TensorShapeProto { dim }) };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { value }) }
}

/// A node with one output; its name is that of the output.
pub fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| name.to_string()).collect(),
        output: vec![output.into()],
        name: Some(format!("{output}_node")),
        op_type: Some(operator.into()),
        domain: None,
        attribute: attributes,
    }
}

/// A whole number as attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// Whole numbers as attribute.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

/// A number as attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// Text as attribute.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(Bytes::from(value.to_string())), ..attribute(name, AttributeType::String) }
}

/// A tensor as attribute.
pub fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(Box::new(value)), ..attribute(name, AttributeType::Tensor) }
}

/// An attribute without a value.
pub fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(kind as i32), ..AttributeProto::default() }
}

/// `f32` in `raw_data`.
pub fn floats(name: &str, sizes: &[i64], values: &[f32]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, DataType::Float, sizes, raw)
}

/// `f32`, all the same.
pub fn filled(name: &str, sizes: &[i64], value: f32) -> TensorProto {
    let count: i64 = sizes.iter().product();
    floats(name, sizes, &vec![value; count as usize])
}

/// `i64` in `raw_data`, a list.
pub fn integers(name: &str, values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, DataType::Int64, &[values.len() as i64], raw)
}

/// `i64` in `raw_data`, a scalar.
pub fn integer(name: &str, value: i64) -> TensorProto {
    raw_tensor(name, DataType::Int64, &[], value.to_le_bytes().to_vec())
}

/// Any elements in `raw_data`.
pub fn raw_tensor(name: &str, elements: DataType, sizes: &[i64], raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(elements as i32),
        dims: sizes.to_vec(),
        raw_data: Some(raw.into()),
        ..TensorProto::default()
    }
}
