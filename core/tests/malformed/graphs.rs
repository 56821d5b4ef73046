//! ONNX files whose graphs contradict themselves or ask for too much.

use super::{Case, one};
use crate::onnx_file::*;
use libvision::import::onnx::proto::attribute_proto::AttributeType;
use libvision::import::onnx::proto::tensor_proto::DataType;
use libvision::import::onnx::proto::*;
use prost::Message;

const PICTURE: [i64; 4] = [-1, 3, 8, 8];

/// A convolution of a picture with these weights.
fn conv(weights: TensorProto) -> ModelProto {
    model(&PICTURE, vec![node("Conv", &["x", "w"], "y", vec![])], vec![weights])
}

/// A convolution with these attributes.
fn conv_with(attributes: Vec<AttributeProto>) -> ModelProto {
    model(&PICTURE, vec![node("Conv", &["x", "w"], "y", attributes)], vec![filled("w", &[4, 3, 3, 3], 1.0)])
}

/// One node that reads the picture.
fn unary(operator: &str, attributes: Vec<AttributeProto>) -> ModelProto {
    model(&PICTURE, vec![node(operator, &["x"], "y", attributes)], vec![])
}

fn relu(input: &str, output: &str) -> NodeProto {
    node("Relu", &[input], output, vec![])
}

fn nodes(nodes: Vec<NodeProto>) -> ModelProto {
    model(&PICTURE, nodes, vec![])
}

fn with_graph(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut file = nodes(vec![relu("x", "y")]);
    change(file.graph.as_mut().expect("a graph"));
    file
}

fn external(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some(key.to_string()),
        value: Some(value.to_string()),
    };
    TensorProto {
        raw_data: None,
        data_location: Some(1),
        external_data: entries.iter().map(entry).collect(),
        ..filled("w", &[4, 3, 3, 3], 0.0)
    }
}

pub fn cases() -> Vec<Case> {
    let all = [names(), inputs(), tensors(), places(), attributes(), shapes(), crowds()];
    let named = all.into_iter().flatten();
    named
        .map(|(name, file, expected)| one(name.into(), "model.onnx", file.encode_to_vec(), expected))
        .collect()
}

type Named = Vec<(&'static str, ModelProto, &'static str)>;

fn names() -> Named {
    vec![
        ("an input of nobody", nodes(vec![relu("z", "y")]), "\"z\" is no input"),
        ("no such output", nodes(vec![relu("x", "z")]), "\"y\" is no input"),
        (
            "a cycle",
            nodes(vec![node("Add", &["x", "b"], "a", vec![]), relu("a", "b"), relu("b", "y")]),
            "wrong order or in a cycle",
        ),
        (
            "a node that reads itself",
            nodes(vec![node("Add", &["x", "y"], "y", vec![])]),
            "wrong order or in a cycle",
        ),
        ("a wrong order", nodes(vec![relu("a", "y"), relu("x", "a")]), "wrong order"),
        ("two sources of one name", nodes(vec![relu("x", "y"), relu("x", "y")]), "\"y\" has another source"),
        ("a node that computes the input", nodes(vec![relu("x", "x")]), "\"x\" has another source"),
        (
            "a node that computes an initializer",
            model(&PICTURE, vec![relu("x", "w"), relu("w", "y")], vec![filled("w", &[1], 0.0)]),
            "\"w\" has another source",
        ),
        (
            "two initializers of one name",
            model(&PICTURE, vec![relu("x", "y")], vec![filled("w", &[1], 0.0), filled("w", &[1], 0.0)]),
            "two initializers are named \"w\"",
        ),
        (
            "two inputs of one name",
            with_graph(|graph| graph.input.push(input("x", DataType::Float, &PICTURE))),
            "two inputs are named \"x\"",
        ),
        (
            "two outputs of one name",
            with_graph(|graph| graph.output.push(graph.output[0].clone())),
            "two outputs are named \"y\"",
        ),
        ("no output", with_graph(|graph| graph.output.clear()), "no output"),
        ("no input", with_graph(|graph| graph.input.clear()), "no input"),
        (
            "an operator without a name",
            nodes(vec![NodeProto { op_type: None, ..relu("x", "y") }]),
            "not supported",
        ),
        ("an unknown operator", nodes(vec![node("Frobnicate", &["x"], "y", vec![])]), "Frobnicate"),
        (
            "an operator of another domain",
            nodes(vec![NodeProto { domain: Some("org.example".into()), ..relu("x", "y") }]),
            "org.example",
        ),
        (
            "a node without inputs",
            nodes(vec![node("Relu", &[], "y", vec![])]),
            "expected 1 to 1 inputs, found 0",
        ),
        ("an input left out", nodes(vec![node("Add", &["x", ""], "y", vec![])]), "input 1 is missing"),
        ("a node with too many inputs", nodes(vec![node("Relu", &["x", "x"], "y", vec![])]), "found 2"),
        (
            "an output that is an initializer",
            model(&PICTURE, vec![], vec![filled("y", &[1], 0.0)]),
            "does not depend on the picture",
        ),
        (
            "a second output that is read",
            nodes(vec![NodeProto { output: vec!["a".into(), "y".into()], ..relu("x", "a") }]),
            "only the first",
        ),
        (
            "no version of the operators",
            ModelProto { opset_import: vec![], ..nodes(vec![relu("x", "y")]) },
            "no version",
        ),
        (
            "operators of the future",
            model_of_opset(9000, &PICTURE, vec![relu("x", "y")], vec![]),
            "operator set 9000",
        ),
        (
            "operators of the past",
            model_of_opset(1, &PICTURE, vec![relu("x", "y")], vec![]),
            "operator set 1",
        ),
        ("a negative version", model_of_opset(-1, &PICTURE, vec![relu("x", "y")], vec![]), "operator set -1"),
    ]
}

fn inputs() -> Named {
    let sized = |sizes: &[i64]| model(sizes, vec![relu("x", "y")], vec![]);
    let typed = |kind| with_graph(|graph| graph.input = vec![input("x", kind, &PICTURE)]);
    vec![
        (
            "an input without a type",
            with_graph(|graph| graph.input[0].r#type = None),
            "input \"x\": expected a tensor",
        ),
        (
            "an input without a shape",
            with_graph(|graph| {
                let tensor = type_proto::Tensor { elem_type: Some(1), shape: None };
                graph.input[0].r#type =
                    Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)) });
            }),
            "it has no shape",
        ),
        ("a scalar input", sized(&[]), "found a scalar"),
        ("an input of no height", sized(&[-1, 3, 0, 8]), "axis 2 has size 0"),
        ("an input for no picture", sized(&[0, 3, 8, 8]), "axis 0 has size 0"),
        ("an open height", sized(&[1, 3, -1, 8]), "axis 2 has no fixed size"),
        ("open channels", sized(&[1, -1, 8, 8]), "axis 1 has no fixed size"),
        ("an input of one channel", sized(&[1, 1, 8, 8]), "expected one input [N,3,H,W]"),
        ("an input of numbers", sized(&[1, 3]), "expected one input [N,3,H,W]"),
        ("an input of bytes", typed(DataType::Uint8), "found UINT8"),
        ("an input of texts", typed(DataType::String), "found STRING"),
        (
            "two pictures",
            with_graph(|graph| {
                graph.input.push(input("z", DataType::Float, &PICTURE));
                graph.node = vec![node("Add", &["x", "z"], "y", vec![])];
            }),
            "expected one input",
        ),
        (
            "two batches",
            with_graph(|graph| {
                graph.input =
                    vec![input("x", DataType::Float, &[2, 3]), input("z", DataType::Float, &[4, 3])];
            }),
            "expected the batch of the other inputs, 2, found 4",
        ),
        ("an input as large as memory", sized(&[1, 3, 1 << 40, 1 << 40]), "limit"),
        ("an input as large as a disk", sized(&[1, 3, 1 << 20, 1 << 20]), "over the limit of"),
        ("an input whose size overflows", sized(&[1, i64::MAX, i64::MAX, i64::MAX]), "limit"),
    ]
}

fn tensors() -> Named {
    let shaped = |sizes: &[i64], bytes: usize| conv(raw_tensor("w", DataType::Float, sizes, vec![0; bytes]));
    let typed = |kind, bytes: usize| conv(raw_tensor("w", kind, &[1, 3, 1, 1], vec![0; bytes]));
    let packed = |tensor: TensorProto| conv(TensorProto { raw_data: None, ..tensor });
    let halves = |field: Vec<u8>| {
        packed(TensorProto {
            int32_data: vec![field.into()],
            ..raw_tensor("w", DataType::Float16, &[1, 3, 1, 1], vec![])
        })
    };
    vec![
        ("weights without elements", shaped(&[4, 3, 3, 3], 0), "need 432 bytes, found 0"),
        ("weights cut short", shaped(&[4, 3, 3, 3], 431), "need 432 bytes, found 431"),
        ("weights too long", shaped(&[4, 3, 3, 3], 433), "need 432 bytes, found 433"),
        ("a negative size", shaped(&[4, -3, 3, 3], 432), "no sizes of axes"),
        ("sizes that overflow", shaped(&[i64::MAX, i64::MAX, 3, 3], 432), "no sizes of axes"),
        ("bytes that overflow", shaped(&[1 << 62, 1, 1, 1], 432), "too many bytes, found 432"),
        ("sizes for a terabyte", shaped(&[1 << 20, 1 << 20, 1, 1], 432), "need 4398046511104 bytes"),
        ("weights without channels", shaped(&[0, 3, 3, 3], 0), "must all be at least 1"),
        ("weights of a window of nothing", shaped(&[4, 3, 0, 0], 0), "window"),
        ("weights with three axes", shaped(&[4, 3, 3], 144), "expected [O,C,kh,kw]"),
        ("scalar weights", shaped(&[], 4), "expected [O,C,kh,kw]"),
        ("weights without a type", typed(DataType::Undefined, 12), "UNDEFINED"),
        ("weights of texts", typed(DataType::String, 12), "STRING"),
        ("weights of complex numbers", typed(DataType::Complex64, 24), "COMPLEX64"),
        ("weights of quarter bytes", typed(DataType::Uint2, 1), "UINT2"),
        ("weights of eight bits", typed(DataType::Float8e4m3fn, 3), "FLOAT8E4M3FN"),
        (
            "weights of whole numbers",
            typed(DataType::Int32, 12),
            "constant \"w\": whole numbers of shape [1, 3, 1, 1]",
        ),
        (
            "weights of an unknown type",
            conv(TensorProto { data_type: Some(99), ..filled("w", &[1, 3, 1, 1], 0.0) }),
            "type 99",
        ),
        ("halves cut short", typed(DataType::Float16, 5), "need 6 bytes, found 5"),
        ("doubles cut short", typed(DataType::Double, 23), "need 24 bytes, found 23"),
        ("too few packed halves", halves(vec![0; 2]), "expected 3 elements, found 2"),
        ("too many packed halves", halves(vec![0; 4]), "more than 3 elements"),
        ("packed halves cut off", halves(vec![0, 0, 0x80]), "cut off"),
        (
            "packed floats cut short",
            packed(TensorProto { float_data: vec![vec![0; 8].into()], ..filled("w", &[1, 3, 1, 1], 0.0) }),
            "need 12 bytes, found 8",
        ),
        (
            "a million whole numbers",
            model(
                &PICTURE,
                vec![node("Reshape", &["x", "s"], "y", vec![])],
                vec![integers("s", &vec![1; 1 << 18])],
            ),
            "over the limit of 4096",
        ),
        (
            "whole numbers cut short",
            model(
                &PICTURE,
                vec![node("Reshape", &["x", "s"], "y", vec![])],
                vec![raw_tensor("s", DataType::Int64, &[2], vec![0; 15])],
            ),
            "need 16 bytes, found 15",
        ),
        (
            "a matrix as shape",
            model(
                &PICTURE,
                vec![node("Reshape", &["x", "s"], "y", vec![])],
                vec![raw_tensor("s", DataType::Int64, &[1, 2], vec![0; 16])],
            ),
            "whole numbers of shape",
        ),
    ]
}

fn places() -> Named {
    let at = |entries: &[(&str, &str)]| conv(external(entries));
    vec![
        ("external data nowhere", at(&[]), "without a location"),
        ("external data that is not there", at(&[("location", "none.bin")]), "none.bin"),
        ("external data above", at(&[("location", "../model.onnx")]), "own folder"),
        ("external data far above", at(&[("location", "../../../../etc/passwd")]), "own folder"),
        ("external data of the system", at(&[("location", "/etc/passwd")]), "own folder"),
        ("external data of a device", at(&[("location", "/dev/zero")]), "own folder"),
        ("external data in a folder", at(&[("location", "a/b")]), "own folder"),
        ("external data with a backslash", at(&[("location", "..\\model.onnx")]), "own folder"),
        ("external data in the folder itself", at(&[("location", ".")]), "own folder"),
        ("external data with a null", at(&[("location", "model.onnx\0.bin")]), "own folder"),
        (
            "external data after the end",
            at(&[("location", "model.onnx"), ("offset", "1000000"), ("length", "432")]),
            "does not lie in",
        ),
        (
            "external data that overflows",
            at(&[
                ("location", "model.onnx"),
                ("offset", "18446744073709551615"),
                ("length", "18446744073709551615"),
            ]),
            "does not lie in",
        ),
        (
            "external data of negative length",
            at(&[("location", "model.onnx"), ("length", "-1")]),
            "as length",
        ),
        ("external data of wordy length", at(&[("location", "model.onnx"), ("length", "ten")]), "\"ten\""),
        (
            "external data of another length",
            at(&[("location", "model.onnx"), ("length", "4")]),
            "need 432 bytes, found 4",
        ),
        (
            "external data with a strange key",
            at(&[("location", "model.onnx"), ("password", "x")]),
            "no key \"password\"",
        ),
    ]
}

fn attributes() -> Named {
    let pool =
        |more: Vec<AttributeProto>| unary("MaxPool", [vec![ints("kernel_shape", &[2, 2])], more].concat());
    let gemm = |attributes| {
        model(
            &PICTURE,
            vec![node("Flatten", &["x"], "f", vec![]), node("Gemm", &["f", "w"], "y", attributes)],
            vec![filled("w", &[192, 2], 1.0)],
        )
    };
    let norm = |attributes| {
        let inputs = ["x", "p", "p", "p", "p"];
        model(
            &PICTURE,
            vec![node("BatchNormalization", &inputs, "y", attributes)],
            vec![filled("p", &[3], 1.0)],
        )
    };
    vec![
        (
            "an unknown attribute",
            unary("Relu", vec![int("slope", 1)]),
            "attribute \"slope\" is not supported",
        ),
        (
            "an attribute that is there twice",
            conv_with(vec![int("group", 1), int("group", 1)]),
            "\"group\" is there twice",
        ),
        (
            "an attribute without a type",
            conv_with(vec![AttributeProto { r#type: None, ..int("group", 1) }]),
            "expected INT, found no type",
        ),
        (
            "an attribute of an unknown type",
            conv_with(vec![AttributeProto { r#type: Some(77), ..int("group", 1) }]),
            "found type 77",
        ),
        ("an attribute of another type", conv_with(vec![float("group", 1.0)]), "expected INT, found FLOAT"),
        ("numbers for a number", conv_with(vec![ints("group", &[1])]), "expected INT, found INTS"),
        (
            "an attribute of a function",
            conv_with(vec![AttributeProto { ref_attr_name: Some("g".into()), ..int("group", 1) }]),
            "refers to a function",
        ),
        ("a graph as attribute", conv_with(vec![attribute("group", AttributeType::Graph)]), "found GRAPH"),
        ("no groups", conv_with(vec![int("group", 0)]), "must all be at least 1"),
        ("negative groups", conv_with(vec![int("group", -1)]), "group is -1"),
        ("groups that do not divide", conv_with(vec![int("group", 2)]), "cannot be divided into 2 groups"),
        ("a stride of nothing", conv_with(vec![ints("strides", &[0, 1])]), "strides [0, 1]"),
        ("a negative stride", conv_with(vec![ints("strides", &[-1, 1])]), "strides of -1"),
        ("a stride of one axis", conv_with(vec![ints("strides", &[1])]), "strides [1]"),
        ("a dilation of nothing", conv_with(vec![ints("dilations", &[1, 0])]), "dilations [1, 0]"),
        ("a huge dilation", conv_with(vec![ints("dilations", &[i64::MAX, 1])]), "dilations of"),
        (
            "a dilation over the picture",
            conv_with(vec![ints("dilations", &[1 << 20, 1])]),
            "does not fit into",
        ),
        ("negative pads", conv_with(vec![ints("pads", &[0, -1, 0, 0])]), "negative ones"),
        ("three pads", conv_with(vec![ints("pads", &[0, 0, 0])]), "pads [0, 0, 0]"),
        ("huge pads", conv_with(vec![ints("pads", &[i64::MAX, 0, 0, 0])]), "pads of"),
        ("pads for a gigabyte", conv_with(vec![ints("pads", &[1 << 20; 4])]), "over the limit of"),
        ("an unknown auto_pad", conv_with(vec![text("auto_pad", "SAME")]), "auto_pad is \"SAME\""),
        (
            "an auto_pad that is not text",
            conv_with(vec![AttributeProto { s: Some(vec![0xff].into()), ..text("auto_pad", "") }]),
            "not UTF-8",
        ),
        (
            "a kernel_shape of another size",
            conv_with(vec![ints("kernel_shape", &[5, 5])]),
            "kernel_shape [5, 5]",
        ),
        (
            "a kernel_shape of negative size",
            conv_with(vec![ints("kernel_shape", &[-3, 3])]),
            "kernel_shape [-3, 3]",
        ),
        ("a pool without a window", unary("MaxPool", vec![]), "kernel_shape is missing"),
        ("a pool of nothing", unary("MaxPool", vec![ints("kernel_shape", &[0, 2])]), "kernel_shape [0, 2]"),
        (
            "a pool over the picture",
            unary("MaxPool", vec![ints("kernel_shape", &[9, 9])]),
            "does not fit into",
        ),
        (
            "a pool of borders alone",
            pool(vec![ints("pads", &[2, 2, 2, 2])]),
            "border smaller than the window",
        ),
        ("a ceil_mode of two", pool(vec![int("ceil_mode", 2)]), "expected 0 or 1, found 2"),
        ("batch norm in training", norm(vec![int("training_mode", 1)]), "training_mode is 1"),
        ("batch norm of negative epsilon", norm(vec![float("epsilon", -1.0)]), "epsilon is -1"),
        ("batch norm of no epsilon at all", norm(vec![float("epsilon", f32::NAN)]), "NaN"),
        ("batch norm of infinite epsilon", norm(vec![float("epsilon", f32::INFINITY)]), "epsilon is inf"),
        ("a transposed picture", gemm(vec![int("transA", 1)]), "transA 1"),
        ("a factor that is no number", gemm(vec![float("alpha", f32::NAN)]), "\"alpha\""),
        ("an axis that is not there", unary("Flatten", vec![int("axis", 9)]), "axis 9 does not exist"),
        ("the smallest axis", unary("Flatten", vec![int("axis", i64::MIN)]), "does not exist"),
        (
            "axes that are not there",
            unary("ReduceMean", vec![ints("axes", &[i64::MAX, 2])]),
            "does not exist",
        ),
        ("one axis twice", unary("ReduceMean", vec![ints("axes", &[2, -2])]), "name one axis twice"),
        (
            "a constant without a value",
            nodes(vec![node("Constant", &[], "c", vec![]), node("Add", &["x", "c"], "y", vec![])]),
            "it has no value",
        ),
        (
            "a constant without a tensor",
            nodes(vec![
                node("Constant", &[], "c", vec![attribute("value", AttributeType::Tensor)]),
                node("Add", &["x", "c"], "y", vec![]),
            ]),
            "has no tensor",
        ),
        (
            "bounds that cross",
            model(
                &PICTURE,
                vec![node("Clip", &["x", "a", "b"], "y", vec![])],
                vec![floats("a", &[], &[1.0]), floats("b", &[], &[0.0])],
            ),
            "its bounds are 1 and 0",
        ),
        (
            "bounds that are no numbers",
            model(
                &PICTURE,
                vec![node("Clip", &["x", "a"], "y", vec![])],
                vec![floats("a", &[], &[f32::NAN])],
            ),
            "is NaN",
        ),
        (
            "bounds of many numbers",
            model(&PICTURE, vec![node("Clip", &["x", "a"], "y", vec![])], vec![filled("a", &[2], 0.0)]),
            "expected one number",
        ),
    ]
}

fn shapes() -> Named {
    let target = |numbers: &[i64]| {
        model(&PICTURE, vec![node("Reshape", &["x", "s"], "y", vec![])], vec![integers("s", numbers)])
    };
    let made = |sizes: &[i64]| {
        let nodes = vec![node("ConstantOfShape", &["s"], "c", vec![]), node("Add", &["x", "c"], "y", vec![])];
        model(&PICTURE, nodes, vec![integers("s", sizes)])
    };
    let picked = |operator: &str, inputs: &[&str], constants| {
        let nodes = vec![
            node("Shape", &["x"], "shape", vec![]),
            node(operator, inputs, "picked", vec![]),
            node("Reshape", &["x", "picked"], "y", vec![]),
        ];
        model(&PICTURE, nodes, constants)
    };
    let norm_of = |variance: f32| {
        let nodes = vec![
            node("Conv", &["x", "w"], "c", vec![]),
            node("BatchNormalization", &["c", "p", "p", "p", "v"], "y", vec![]),
        ];
        model(
            &PICTURE,
            nodes,
            vec![filled("w", &[2, 3, 1, 1], 1.0), filled("p", &[2], 1.0), filled("v", &[2], variance)],
        )
    };
    vec![
        ("a shape of two unknowns", target(&[-1, -1]), "more than one size is -1"),
        ("a negative shape", target(&[-7, 3]), "a size of -7"),
        ("a shape of other elements", target(&[-1, 7]), "number of elements the same"),
        ("a shape that overflows", target(&[i64::MAX, i64::MAX, -1]), "number of elements the same"),
        ("a shape that copies what is not there", target(&[0, 0, 0, 0, 0]), "lacks"),
        ("an empty shape", target(&[]), "number of elements the same"),
        ("a constant as large as memory", made(&[1 << 40]), "made by a node"),
        ("a constant whose size overflows", made(&[i64::MAX, i64::MAX]), "made by a node"),
        ("a constant of negative size", made(&[-1]), "is no shape"),
        (
            "an entry that is not there",
            picked("Gather", &["shape", "i"], vec![integers("i", &[9])]),
            "no entry 9",
        ),
        (
            "the smallest entry",
            picked("Gather", &["shape", "i"], vec![integers("i", &[i64::MIN])]),
            "no entry",
        ),
        (
            "lists that do not fit",
            picked("Add", &["shape", "i"], vec![integers("i", &[1, 2])]),
            "do not broadcast",
        ),
        (
            "a division by nothing",
            picked("Div", &["i", "j"], vec![integers("i", &[1]), integers("j", &[0])]),
            "has no result",
        ),
        (
            "a division that overflows",
            picked("Div", &["i", "j"], vec![integers("i", &[i64::MIN]), integers("j", &[-1])]),
            "has no result",
        ),
        (
            "a product that overflows",
            picked("Mul", &["i", "i"], vec![integers("i", &[i64::MAX])]),
            "has no result",
        ),
        ("twice the batch", picked("Mul", &["shape", "i"], vec![integers("i", &[2])]), "number of images"),
        (
            "pads for another rank",
            model(&PICTURE, vec![node("Pad", &["x", "p"], "y", vec![])], vec![integers("p", &[0, 0])]),
            "2 pads for 4 axes",
        ),
        (
            "sums that do not broadcast",
            model(&PICTURE, vec![node("Add", &["x", "c"], "y", vec![])], vec![filled("c", &[5], 1.0)]),
            "do not broadcast",
        ),
        (
            "sums that broadcast to a terabyte",
            model(
                &PICTURE,
                vec![node("Add", &["x", "c"], "y", vec![])],
                vec![filled("c", &[1 << 18, 1, 1, 1], 1.0)],
            ),
            "do not broadcast",
        ),
        (
            "a batch norm of other channels",
            model(
                &PICTURE,
                vec![node("BatchNormalization", &["x", "p", "p", "p", "p"], "y", vec![])],
                vec![filled("p", &[4], 1.0)],
            ),
            "expected input \"p\" of shape [3], found [4]",
        ),
        ("a batch norm of negative variance", norm_of(-1.0), "the variance of channel 0 is -1"),
        ("a batch norm of no variance at all", norm_of(f32::NAN), "the variance of channel 0 is NaN"),
        (
            "a product of other sizes",
            model(
                &[-1, 3, 2, 2],
                vec![node("Flatten", &["x"], "f", vec![]), node("MatMul", &["f", "w"], "y", vec![])],
                vec![filled("w", &[5, 2], 1.0)],
            ),
            "shape [2,12]",
        ),
    ]
}

/// As many nodes as are let through for the size of the file, with an error at their end, and more.
fn crowds() -> Named {
    let chain = |operator: &str, inputs: usize, count: usize| {
        let mut nodes = vec![relu("x", "v0")];
        for index in 0..count {
            let (from, to) = (format!("v{index}"), format!("v{}", index + 1));
            nodes.push(node(operator, &[&from, "x"][..inputs], &to, vec![]));
        }
        nodes.push(node("Sub", &["x", &format!("v{count}")], "y", vec![]));
        model(&PICTURE, nodes, vec![])
    };
    vec![
        ("a chain of activations", chain("Relu", 1, 4000), "second operand must be a constant"),
        ("a chain of sums", chain("Add", 2, 4000), "second operand must be a constant"),
        ("a longer chain", chain("Relu", 1, 8000), "over the limit of"),
    ]
}
