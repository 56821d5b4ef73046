//! ONNX files that are damaged below the level of the graph.

use super::{Case, golden, one, turned_over};
use crate::onnx_file::*;
use prost::Message;

/// Bytes of a length-delimited field.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

/// A model whose graph has these bytes, with a version of the operators.
fn around(graph: &[u8]) -> Vec<u8> {
    [field(8, &[0x10, 17]), field(7, graph)].concat()
}

pub fn cases() -> Vec<Case> {
    let export = golden("onnx/basic_torchscript_folded_fixed.onnx");
    let mut cases = vec![
        one("an empty file".into(), "model.onnx", vec![], "holds no graph"),
        one("text".into(), "model.onnx", b"this is not a model, it is text".to_vec(), "not an ONNX file"),
        one("zeros".into(), "model.onnx", vec![0; 4096], "not an ONNX file"),
        one("ones".into(), "model.onnx", vec![0xff; 4096], "not an ONNX file"),
        one(
            "a pickle".into(),
            "model.onnx",
            b"PK\x03\x04\0\0\0\0archive/data.pkl".to_vec(),
            "not an ONNX file",
        ),
        one("no graph".into(), "model.onnx", field(8, &[0x10, 17]), "holds no graph"),
        one("an empty graph".into(), "model.onnx", around(&[]), "no input"),
        one("a group".into(), "model.onnx", vec![0x3b, 0x3c], "wire type 3"),
        one(
            "a length over the end".into(),
            "model.onnx",
            vec![0x3a, 0xff, 0x7f],
            "16383 bytes begins where 0",
        ),
        one(
            "the longest length".into(),
            "model.onnx",
            [vec![0x3a], vec![0xff; 9], vec![1]].concat(),
            "begins where",
        ),
        one("an endless number".into(), "model.onnx", [vec![0x3a], vec![0xff; 11]].concat(), "too long"),
        one(
            "a name that is not text".into(),
            "model.onnx",
            around(&field(1, &field(3, &[0xff, 0xfe]))),
            "not an ONNX file",
        ),
        one("a graph that is a number".into(), "model.onnx", vec![0x38, 5], "not an ONNX file"),
    ];
    // Where two bytes of the file ask for many of memory.
    let million = |number: u32| field(number, &[]).repeat(1 << 19);
    for (name, graph) in [
        ("empty nodes", million(1)),
        ("empty initializers", million(5)),
        ("empty inputs", million(11)),
        ("empty outputs", million(12)),
        ("inputs of one node", field(1, &million(1))),
        ("outputs of one node", field(1, &million(2))),
        ("attributes of one node", field(1, &million(5))),
        ("numbers of one attribute", field(1, &field(5, &[0x40, 0].repeat(1 << 19)))),
        ("packed numbers of one attribute", field(1, &field(5, &field(8, &vec![0; 1 << 20])))),
        ("sizes of one tensor", field(5, &[0x08, 1].repeat(1 << 19))),
        ("pieces of one tensor", field(5, &million(4))),
        ("places of one tensor", field(5, &million(13))),
        ("axes of one input", field(11, &field(2, &field(1, &field(2, &million(1)))))),
    ] {
        cases.push(one(format!("a million {name}"), "model.onnx", around(&graph), "over the limit"));
    }
    let sets = field(8, &[]).repeat(1 << 19);
    cases.push(one("a million versions".into(), "model.onnx", sets, "over the limit"));
    // Cut anywhere: the lengths inside no longer fit.
    for part in 1..32 {
        let length = export.len() * part / 32;
        let name = format!("cut after {length} bytes");
        cases.push(one(name, "model.onnx", export[..length].to_vec(), "begins where"));
    }
    let good = model(&[-1, 3, 4, 4], vec![node("Relu", &["x"], "y", vec![])], vec![]).encode_to_vec();
    for length in 3..good.len().min(40) {
        cases.push(one(
            format!("a small model cut after {length}"),
            "model.onnx",
            good[..length].to_vec(),
            "not an ONNX file",
        ));
    }
    cases
}

pub fn mutations() -> Vec<Case> {
    let export = golden("onnx/basic_dynamo_raw_dynamic.onnx");
    let small = model(&[-1, 3, 4, 4], vec![node("Relu", &["x"], "y", vec![])], vec![]).encode_to_vec();
    let mut cases = turned_over("model.onnx", &export, &[], 60);
    cases.extend(turned_over("model.onnx", &small, &[], 60));
    cases
}
