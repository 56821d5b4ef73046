//! ONNX files as PyTorch's exporters write them, and each operator in each of its forms.

mod interpret;
mod onnx_file;

use interpret::{largest_difference, noise, run};
use libvision::import::onnx::proto::tensor_proto::DataType;
use libvision::import::onnx::proto::{NodeProto, StringStringEntryProto, TensorProto};
use libvision::import::onnx::{OnnxOptions, import};
use libvision::import::safetensors;
use libvision::memory::{ReadOptions, read_file};
use libvision::{ErrorKind, Model, Tensor};
use onnx_file::*;
use std::path::{Path, PathBuf};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const READ: ReadOptions = ReadOptions { memory_map: true, max_bytes: 1 << 24 };

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx")
}

#[test]
fn exports_give_the_logits_of_onnxruntime() -> TestResult {
    let expected = safetensors::read(read_file(&golden().join("expected.safetensors"), READ)?)?;
    let input = expected["input"].to_f32("input")?;
    let records: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(golden().join("expected.json"))?)?;
    assert_eq!(records.len(), 18);
    for record in records {
        let name = record["file"].as_str().ok_or("a file name")?;
        let key = record["logits"].as_str().ok_or("a tensor name")?;
        let logits = expected[key].to_f32(key)?;
        // A file with a fixed batch was given the first picture.
        let batch = logits.shape()[0];
        let size = input.len() / input.shape()[0] * batch;
        let shape = [&[batch], &input.shape()[1..]].concat();
        let pictures = Tensor::new(&shape, input.to_f32()?[..size].to_vec())?;

        let file = read_file(&golden().join(name), READ)?;
        let imported = import(file, OnnxOptions { folder: None, read: READ, input_size: None })?;
        let found = run(&imported, std::slice::from_ref(&pictures));
        assert!(largest_difference(&found[0], &logits) < 1e-5, "{name} as imported");
        assert_eq!(imported.batch_limit, (record["batch"] == "fixed").then_some(1), "{name}");

        let model = Model::load(golden().join(name))?;
        let found = run(model.graph(), &[pictures]);
        assert!(largest_difference(&found[0], &logits) < 1e-5, "{name} after all passes");
        let names: Vec<&str> = model.graph().outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["logits", "embedding"], "{name}");
        assert_eq!(found[1].shape()[0], batch);
        let kinds: Vec<&str> = model.graph().nodes.iter().map(|node| node.op.name()).collect();
        let fused = ["Conv2d", "MaxPool", "GlobalAveragePool", "Linear"];
        assert!(kinds.iter().all(|kind| fused.contains(kind)), "{name}: {kinds:?}");
    }
    Ok(())
}

/// A node `y` that reads `x` and constants.
struct Case {
    operator: &'static str,
    inputs: &'static [&'static str],
    attributes: Vec<libvision::import::onnx::proto::AttributeProto>,
    constants: Vec<TensorProto>,
    input: &'static [i64],
    opset: i64,
    /// The line of the dump between `input` and `output`, or what the error says.
    expected: Result<&'static str, &'static str>,
}

fn case(
    operator: &'static str,
    inputs: &'static [&'static str],
    expected: Result<&'static str, &'static str>,
) -> Case {
    let input = &[-1, 4, 6, 6];
    Case { operator, inputs, attributes: vec![], constants: vec![], input, opset: 17, expected }
}

impl Case {
    fn with(mut self, attributes: Vec<libvision::import::onnx::proto::AttributeProto>) -> Self {
        self.attributes = attributes;
        self
    }

    fn constants(mut self, constants: Vec<TensorProto>) -> Self {
        self.constants = constants;
        self
    }

    fn input(mut self, sizes: &'static [i64]) -> Self {
        self.input = sizes;
        self
    }

    fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    fn check(self) {
        let what = format!("{} {:?} {:?}", self.operator, self.inputs, self.attributes);
        let node = node(self.operator, self.inputs, "y", self.attributes);
        let model = model_of_opset(self.opset, self.input, vec![node], self.constants);
        match (import_model(&model), self.expected) {
            (Ok(graph), Ok(expected)) => {
                let dump = graph.dump();
                let lines: Vec<&str> = dump.lines().collect();
                assert_eq!(lines[1..lines.len() - 1].join("\n"), expected, "{what}");
            }
            (Err(error), Err(expected)) => {
                assert!(error.message().contains(expected), "{what}: {error}");
                assert!(error.message().contains("y_node"), "{what}: {error}");
            }
            (Ok(graph), Err(expected)) => panic!("{what}: expected {expected:?}, found {}", graph.dump()),
            (Err(error), Ok(_)) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn convolutions() {
    let weights = || filled("w", &[8, 4, 3, 3], 1.0);
    let conv = |expected| case("Conv", &["x", "w"], expected).constants(vec![weights()]);
    conv(Ok("y[N,8,4,4] = Conv2d 3x3(x[N,4,6,6], const w[8,4,3,3])")).check();
    conv(Ok("y[N,8,3,3] = Conv2d 3x3 stride 2x2 border 1,1,1,1(x[N,4,6,6], const w[8,4,3,3])"))
        .with(vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2]), ints("kernel_shape", &[3, 3])])
        .check();
    conv(Ok("y[N,8,6,2] = Conv2d 3x3 dilation 1x2 border 2,0,0,0(x[N,4,6,6], const w[8,4,3,3])"))
        .with(vec![ints("pads", &[2, 0, 0, 0]), ints("dilations", &[1, 2])])
        .check();
    conv(Ok("y[N,8,3,3] = Conv2d 3x3 stride 2x2 border 0,0,1,1(x[N,4,6,6], const w[8,4,3,3])"))
        .with(vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])])
        .check();
    conv(Ok("y[N,8,3,3] = Conv2d 3x3 stride 2x2 border 1,1,0,0(x[N,4,6,6], const w[8,4,3,3])"))
        .with(vec![text("auto_pad", "SAME_LOWER"), ints("strides", &[2, 2])])
        .check();
    conv(Ok("y[N,8,4,4] = Conv2d 3x3(x[N,4,6,6], const w[8,4,3,3])"))
        .with(vec![text("auto_pad", "VALID")])
        .check();
    conv(Err("both auto_pad SAME_UPPER and pads"))
        .with(vec![text("auto_pad", "SAME_UPPER"), ints("pads", &[1, 1, 1, 1])])
        .check();
    conv(Err("negative ones are not supported")).with(vec![ints("pads", &[-1, 0, 0, 0])]).check();
    conv(Err("kernel_shape [5, 5] differs")).with(vec![ints("kernel_shape", &[5, 5])]).check();
    conv(Err("two spatial axes")).with(vec![ints("strides", &[2])]).check();
    conv(Err("does not fit into")).input(&[-1, 4, 2, 6]).check();
    conv(Err("expected input \"w\" of shape [8,3,3,3]")).input(&[-1, 3, 6, 6]).check();
    conv(Err("only two spatial axes")).input(&[-1, 4, 6]).check();
    case(
        "Conv",
        &["x", "w", "b"],
        Ok("y[N,8,6,6] = Conv2d 1x1 groups 4 +bias(x[N,4,6,6], const w[8,1,1,1], const b[8])"),
    )
    .with(vec![int("group", 4)])
    .constants(vec![filled("w", &[8, 1, 1, 1], 1.0), filled("b", &[8], 0.0)])
    .check();
    case("Conv", &["x", "w", "b"], Err("expected shape [8], found [4]"))
        .constants(vec![weights(), filled("b", &[4], 0.0)])
        .check();
    case("Conv", &["x", "x"], Err("must be a constant of floats")).check();
}

#[test]
fn poolings() {
    let pool = |operator, expected| case(operator, &["x"], expected).input(&[-1, 4, 6, 7]);
    let window =
        |size: i64, stride: i64| vec![ints("kernel_shape", &[size; 2]), ints("strides", &[stride; 2])];
    let and = |mut attributes: Vec<_>, more| {
        attributes.push(more);
        attributes
    };
    pool("MaxPool", Ok("y[N,4,2,3] = MaxPool 3x3 stride 2x2(x[N,4,6,7])")).with(window(3, 2)).check();
    // Rounded up: 6 rows give a third window that reaches one row past the image.
    pool("MaxPool", Ok("y[N,4,3,3] = MaxPool 3x3 stride 2x2 border 0,0,1,0(x[N,4,6,7])"))
        .with(and(window(3, 2), int("ceil_mode", 1)))
        .check();
    // A window that would begin past the image and its border is left out.
    pool("MaxPool", Ok("y[N,4,3,4] = MaxPool 1x1 stride 2x2(x[N,4,6,7])"))
        .with(and(window(1, 2), int("ceil_mode", 1)))
        .check();
    pool("MaxPool", Err("storage_order 1")).with(and(window(3, 2), int("storage_order", 1))).check();
    pool("MaxPool", Err("border smaller than the window"))
        .with(and(window(2, 2), ints("pads", &[2, 0, 0, 0])))
        .check();
    pool("MaxPool", Err("kernel_shape is missing")).check();
    pool("AveragePool", Ok("y[N,4,3,4] = AveragePool 3x3 stride 2x2 border 1,1,1,1(x[N,4,6,7])"))
        .with(and(window(3, 2), ints("pads", &[1, 1, 1, 1])))
        .check();
    pool(
        "AveragePool",
        Ok("y[N,4,3,4] = AveragePool 3x3 stride 2x2 border 1,1,1,1 border counts(x[N,4,6,7])"),
    )
    .with(and(and(window(3, 2), ints("pads", &[1, 1, 1, 1])), int("count_include_pad", 1)))
    .check();
    pool("AveragePool", Err("ceil_mode 1 with count_include_pad 1"))
        .with(and(
            and(and(window(3, 2), ints("pads", &[1, 1, 0, 0])), int("count_include_pad", 1)),
            int("ceil_mode", 1),
        ))
        .check();
    pool("GlobalAveragePool", Ok("y[N,4,1,1] = GlobalAveragePool keep_dims(x[N,4,6,7])")).check();
    pool("ReduceMean", Ok("y[N,4,1,1] = GlobalAveragePool keep_dims(x[N,4,6,7])"))
        .with(vec![ints("axes", &[2, 3])])
        .check();
    pool("ReduceMean", Ok("y[N,4] = GlobalAveragePool(x[N,4,6,7])"))
        .with(vec![ints("axes", &[-1, -2]), int("keepdims", 0)])
        .check();
    case("ReduceMean", &["x", "a"], Ok("y[N,4,1,1] = GlobalAveragePool keep_dims(x[N,4,6,6])"))
        .constants(vec![integers("a", &[3, 2])])
        .opset(18)
        .check();
    pool("ReduceMean", Err("only the mean over the two spatial axes")).with(vec![ints("axes", &[1])]).check();
    pool("ReduceMean", Err("only the mean over the two spatial axes")).check();
    pool("ReduceMean", Err("axis 4 does not exist")).with(vec![ints("axes", &[2, 4])]).check();
}

#[test]
fn activations_and_arithmetic() {
    let unary = |operator, expected| case(operator, &["x"], expected);
    unary("Relu", Ok("y[N,4,6,6] = Activate relu(x[N,4,6,6])")).check();
    unary("Sigmoid", Ok("y[N,4,6,6] = Activate sigmoid(x[N,4,6,6])")).check();
    unary("HardSwish", Ok("y[N,4,6,6] = Activate hard_swish(x[N,4,6,6])")).check();
    unary("HardSigmoid", Ok("y[N,4,6,6] = Activate hard_sigmoid 0.2 0.5(x[N,4,6,6])")).check();
    unary("HardSigmoid", Ok("y[N,4,6,6] = Activate hard_sigmoid 0.25 0.5(x[N,4,6,6])"))
        .with(vec![float("alpha", 0.25)])
        .check();
    unary("Clip", Ok("y[N,4,6,6] = Activate clip 0 to 6(x[N,4,6,6])"))
        .with(vec![float("min", 0.0), float("max", 6.0)])
        .opset(10)
        .check();
    let bounds = || vec![floats("low", &[], &[0.0]), floats("high", &[], &[6.0])];
    case("Clip", &["x", "low", "high"], Ok("y[N,4,6,6] = Activate clip 0 to 6(x[N,4,6,6])"))
        .constants(bounds())
        .check();
    case("Clip", &["x", "low"], Ok("y[N,4,6,6] = Activate relu(x[N,4,6,6])")).constants(bounds()).check();
    case("Clip", &["x", "", "high"], Ok("y[N,4,6,6] = Activate clip -inf to 6(x[N,4,6,6])"))
        .constants(bounds())
        .check();
    case("Clip", &["x", "high", "low"], Err("its bounds are 6 and 0")).constants(bounds()).check();
    unary("Swish", Ok("y[N,4,6,6] = Activate silu(x[N,4,6,6])")).opset(24).check();
    unary("LeakyRelu", Err("the operator is not supported")).check();
    case("Add", &["x", "x"], Ok("y[N,4,6,6] = Add(x[N,4,6,6], x[N,4,6,6])")).check();
    let constant = || vec![filled("c", &[4, 1, 1], 2.0)];
    case("Add", &["c", "x"], Ok("y[N,4,6,6] = Add(const c[4,1,1], x[N,4,6,6])"))
        .constants(constant())
        .check();
    case("Sub", &["x", "c"], Ok("y[N,4,6,6] = Add(x[N,4,6,6], const y[4,1,1])"))
        .constants(constant())
        .check();
    case("Div", &["x", "c"], Ok("y[N,4,6,6] = Mul(x[N,4,6,6], const y[4,1,1])"))
        .constants(constant())
        .check();
    case("Sub", &["c", "x"], Err("second operand must be a constant")).constants(constant()).check();
    case("Add", &["x", "c"], Err("do not broadcast")).constants(vec![filled("c", &[5, 1, 1], 2.0)]).check();
    case("Softmax", &["x"], Ok("y[N,4] = Softmax(x[N,4])")).input(&[-1, 4]).check();
    case("Softmax", &["x"], Ok("y[N,4] = Softmax(x[N,4])")).input(&[-1, 4]).opset(11).check();
    case("Softmax", &["x"], Err("only the last axis")).check();
}

#[test]
fn fully_connected_layers() {
    let gemm = |expected| {
        let weights = floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        case("Gemm", &["x", "w", "b"], expected)
            .input(&[-1, 2])
            .constants(vec![weights, filled("b", &[3], 1.0)])
    };
    gemm(Ok("y[N,3] = Linear +bias(x[N,2], const w[3,2], const b[3])")).check();
    gemm(Err("transA 1")).with(vec![int("transA", 1)]).check();
    gemm(Err("a bias of shape [3], expected [2]")).with(vec![int("transB", 1)]).check();
    case("MatMul", &["x", "w"], Ok("y[N,3] = Linear(x[N,2], const w[3,2])"))
        .input(&[-1, 2])
        .constants(vec![filled("w", &[2, 3], 1.0)])
        .check();
    case("MatMul", &["x", "x"], Err("must be a constant of floats")).input(&[-1, 2]).check();
}

#[test]
fn gemm_multiplies_alpha_beta_and_transposes() -> TestResult {
    let weights = floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    for (bias, row) in [
        (floats("b", &[3], &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]),
        (floats("b", &[1, 3], &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]),
        (floats("b", &[1], &[4.0]), [4.0; 3]),
        (floats("b", &[], &[4.0]), [4.0; 3]),
    ] {
        let attributes = vec![float("alpha", 2.0), float("beta", 10.0)];
        let nodes = vec![node("Gemm", &["x", "w", "b"], "y", attributes)];
        let graph = import_model(&model(&[-1, 2], nodes, vec![weights.clone(), bias]))?;
        let y = run(&graph, &[Tensor::new(&[1, 2], vec![1.0f32, 10.0])?]);
        // x * w = [41, 52, 63]
        let expected = [0, 1, 2].map(|i| 2.0 * [41.0, 52.0, 63.0][i] + 10.0 * row[i]);
        assert_eq!(y[0].elements::<f32>()?[..], expected);
    }
    Ok(())
}

/// Nodes that compute the second input of a Reshape as exporters do for a batch of any size.
fn flattening(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, opset: i64) {
    let what = format!("{nodes:?}");
    let graph = import_model(&model_of_opset(opset, &[-1, 4, 1, 6], nodes, constants));
    let dump = graph.unwrap_or_else(|error| panic!("{what}: {error}")).dump();
    assert_eq!(dump.lines().nth(1), Some("x.flatten[N,24] = Flatten(x[N,4,1,6])"), "{what}");
}

#[test]
fn every_way_exporters_write_a_flatten() {
    let one = |node: NodeProto, constants| flattening(vec![node], constants, 17);
    one(node("Flatten", &["x"], "y", vec![]), vec![]);
    one(node("Flatten", &["x"], "y", vec![int("axis", -3)]), vec![]);
    one(node("Reshape", &["x", "s"], "y", vec![]), vec![integers("s", &[0, -1])]);
    one(node("Reshape", &["x", "s"], "y", vec![int("allowzero", 1)]), vec![integers("s", &[-1, 24])]);
    // x.view(x.size(0), -1) by TorchScript.
    flattening(
        vec![
            node("Shape", &["x"], "shape", vec![]),
            node("Constant", &[], "zero", vec![tensor("value", integer("", 0))]),
            node("Gather", &["shape", "zero"], "batch", vec![int("axis", 0)]),
            node("Unsqueeze", &["batch"], "batch1", vec![ints("axes", &[0])]),
            node("Constant", &[], "rest", vec![tensor("value", integers("", &[-1]))]),
            node("Concat", &["batch1", "rest"], "target", vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], "y", vec![]),
        ],
        vec![],
        11,
    );
    // The same with Slice, Cast and newer Unsqueeze.
    flattening(
        vec![
            node("Shape", &["x"], "shape", vec![]),
            node("Slice", &["shape", "zero", "one", "zero"], "batch1", vec![]),
            node("Squeeze", &["batch1", "zero"], "batch", vec![]),
            node("Cast", &["batch"], "same", vec![int("to", DataType::Int32 as i64)]),
            node("Unsqueeze", &["same", "zero"], "batch2", vec![]),
            node("Mul", &["batch2", "one"], "batch3", vec![]),
            node("Concat", &["batch3", "rest"], "target", vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], "y", vec![]),
        ],
        vec![integers("zero", &[0]), integers("one", &[1]), integers("rest", &[-1])],
        17,
    );
    // Before operator set 10.
    flattening(
        vec![
            node("Shape", &["x"], "shape", vec![]),
            node(
                "Slice",
                &["shape"],
                "batch",
                vec![ints("axes", &[0]), ints("starts", &[0]), ints("ends", &[1])],
            ),
            node("Constant", &[], "rest", vec![tensor("value", integers("", &[-1]))]),
            node("Concat", &["batch", "rest"], "target", vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], "y", vec![]),
        ],
        vec![],
        9,
    );
    // The newer exporter without its optimizer.
    flattening(
        vec![
            node("Shape", &["x"], "shape", vec![int("start", 0), int("end", 1)]),
            node("Squeeze", &["shape"], "batch", vec![]),
            node("Constant", &[], "list", vec![ints("value_ints", &[-1])]),
            node("Reshape", &["batch", "list"], "batch1", vec![int("allowzero", 0)]),
            node("Constant", &[], "rest", vec![ints("value_ints", &[24])]),
            node("Concat", &["batch1", "rest"], "target", vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], "y", vec![int("allowzero", 1)]),
        ],
        vec![],
        18,
    );
    // Through other views.
    flattening(
        vec![
            node("Squeeze", &["x", "two"], "squeezed", vec![]),
            node("Unsqueeze", &["squeezed", "two"], "unsqueezed", vec![]),
            node("Identity", &["unsqueezed"], "same", vec![]),
            node("Dropout", &["same"], "dropped", vec![]),
            node("Reshape", &["dropped", "s"], "y", vec![]),
        ],
        vec![integers("two", &[2]), integers("s", &[0, 24])],
        17,
    );
}

#[test]
fn views_that_are_no_flatten_are_refused() {
    case("Flatten", &["x"], Err("only [N, product of the rest]")).with(vec![int("axis", 2)]).check();
    case("Flatten", &["x"], Err("only [N, product of the rest]")).with(vec![int("axis", 0)]).check();
    case("Squeeze", &["x"], Err("drop the batch")).check();
    case("Squeeze", &["x", "a"], Err("is not of size 1")).constants(vec![integers("a", &[2])]).check();
    case("Reshape", &["x", "s"], Err("first axis must stay the batch"))
        .constants(vec![integers("s", &[4, -1])])
        .check();
    case("Transpose", &["x"], Err("must be a constant of floats"))
        .with(vec![ints("perm", &[0, 2, 3, 1])])
        .check();
    let nodes = vec![node("Reshape", &["x", "s"], "seen", vec![]), node("Relu", &["seen"], "y", vec![])];
    let error = import_model(&model(&[-1, 4, 6, 6], nodes, vec![integers("s", &[0, 2, 2, 36])])).unwrap_err();
    assert!(error.message().contains("seen as [N,2,2,36]"), "{error}");
}

#[test]
fn a_fixed_batch_may_be_written_as_a_number() -> TestResult {
    let nodes = vec![node("Reshape", &["x", "s"], "y", vec![])];
    let graph = import_model(&model(&[2, 3, 2, 2], nodes.clone(), vec![integers("s", &[2, 12])]))?;
    assert_eq!(graph.batch_limit, Some(2));
    assert_eq!(graph.dump().lines().nth(1), Some("x.flatten[N,12] = Flatten(x[N,3,2,2])"));
    assert!(import_model(&model(&[-1, 3, 2, 2], nodes, vec![integers("s", &[2, 12])])).is_err());
    Ok(())
}

#[test]
fn a_pad_becomes_the_border_of_its_convolution() -> TestResult {
    let constants = || vec![integers("p", &[0, 0, 1, 2, 0, 0, 3, 4]), filled("w", &[8, 4, 3, 3], 1.0)];
    let conv = node("Conv", &["padded", "w"], "y", vec![ints("pads", &[1, 1, 1, 1])]);
    let nodes = vec![node("Pad", &["x", "p"], "padded", vec![text("mode", "constant")]), conv.clone()];
    let graph = import_model(&model(&[-1, 4, 6, 6], nodes, constants()))?;
    let expected = "y[N,8,10,12] = Conv2d 3x3 border 2,3,4,5(x[N,4,6,6], const w[8,4,3,3])";
    assert_eq!(graph.dump().lines().nth(1), Some(expected));
    // In older files the numbers are attributes.
    let pad =
        node("Pad", &["x"], "padded", vec![ints("pads", &[0, 0, 1, 2, 0, 0, 3, 4]), float("value", 0.0)]);
    let graph = import_model(&model_of_opset(10, &[-1, 4, 6, 6], vec![pad, conv], constants()))?;
    assert_eq!(graph.dump().lines().nth(1), Some(expected));
    case("Pad", &["x", "p"], Err("mode \"reflect\""))
        .with(vec![text("mode", "reflect")])
        .constants(constants())
        .check();
    case("Pad", &["x", "p"], Err("on axis 1"))
        .constants(vec![integers("p", &[0, 1, 0, 0, 0, 0, 0, 0])])
        .check();
    let nodes = vec![node("Pad", &["x", "p"], "padded", vec![]), node("Relu", &["padded"], "y", vec![])];
    let error = import_model(&model(&[-1, 4, 6, 6], nodes, constants())).unwrap_err();
    assert!(error.message().contains("which only Conv may do"), "{error}");
    Ok(())
}

#[test]
fn weights_of_every_float_type_and_field() -> TestResult {
    let values = [1.0f32, -2.5, 0.25, 6.0];
    let f16: Vec<half::f16> = values.iter().map(|&x| half::f16::from_f32(x)).collect();
    let bf16: Vec<half::bf16> = values.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let bytes = |parts: Vec<Vec<u8>>| parts.concat();
    let packed = |bits: &[u16]| {
        let mut field = Vec::new();
        bits.iter().for_each(|&bits| prost::encoding::encode_varint(u64::from(bits), &mut field));
        vec![field.into()]
    };
    let bits: Vec<u16> = f16.iter().map(|x| x.to_bits()).collect();
    let le = |x: f32| x.to_le_bytes().to_vec();
    let fields = |kind: DataType| TensorProto {
        name: Some("w".into()),
        data_type: Some(kind as i32),
        dims: vec![4, 1, 1, 1],
        ..TensorProto::default()
    };
    let raw = |kind, raw| raw_tensor("w", kind, &[4, 1, 1, 1], raw);
    let split = bytes(values.map(le).to_vec());
    for weights in [
        raw(DataType::Float, bytes(values.map(le).to_vec())),
        raw(DataType::Double, bytes(values.map(|x| f64::from(x).to_le_bytes().to_vec()).to_vec())),
        raw(DataType::Float16, bytes(f16.iter().map(|x| x.to_le_bytes().to_vec()).collect())),
        raw(DataType::Bfloat16, bytes(bf16.iter().map(|x| x.to_le_bytes().to_vec()).collect())),
        TensorProto { float_data: vec![split.clone().into()], ..fields(DataType::Float) },
        // A packed field may come in pieces.
        TensorProto {
            float_data: vec![split[..8].to_vec().into(), split[8..].to_vec().into()],
            ..fields(DataType::Float)
        },
        TensorProto {
            double_data: vec![bytes(values.map(|x| f64::from(x).to_le_bytes().to_vec()).to_vec()).into()],
            ..fields(DataType::Double)
        },
        TensorProto { int32_data: packed(&bits), ..fields(DataType::Float16) },
    ] {
        let kind = weights.data_type();
        let nodes = vec![node("Conv", &["x", "w"], "y", vec![])];
        let graph = import_model(&model(&[-1, 1, 1, 1], nodes, vec![weights]))?;
        let y = run(&graph, &[Tensor::new(&[1, 1, 1, 1], vec![2.0f32])?]);
        assert_eq!(y[0].elements::<f32>()?[..], values.map(|x| 2.0 * x), "type {kind}");
    }
    Ok(())
}

#[test]
fn a_half_precision_model_runs_in_single() -> TestResult {
    let nodes = vec![
        node("Cast", &["x"], "half", vec![int("to", DataType::Float16 as i64)]),
        node("Relu", &["half"], "y", vec![]),
    ];
    let mut file = model(&[-1, 3], nodes, vec![]);
    file.graph.as_mut().ok_or("a graph")?.input = vec![input("x", DataType::Float16, &[-1, 3])];
    assert_eq!(import_model(&file)?.dump().lines().nth(1), Some("y[N,3] = Activate relu(x[N,3])"));
    file.graph.as_mut().ok_or("a graph")?.input = vec![input("x", DataType::Uint8, &[-1, 3])];
    assert!(import_model(&file).unwrap_err().message().contains("found UINT8"));
    Ok(())
}

#[test]
fn unsupported_nodes_are_told_together() {
    let nodes = vec![
        node("Erf", &["x"], "a", vec![]),
        node("Relu", &["a"], "b", vec![]),
        node("Add", &["b", "b"], "c", vec![]),
        node("Gelu", &["c"], "d", vec![]),
        node("MaxPool", &["x"], "e", vec![ints("kernel_shape", &[2, 2]), int("surprise", 1)]),
        NodeProto { domain: Some("com.example".into()), ..node("Conv", &["x"], "f", vec![]) },
        node("Elu", &["x"], "g", vec![]),
        node("Selu", &["x"], "h", vec![]),
        node("Celu", &["x"], "i", vec![]),
        node("Concat", &["d", "e", "f", "g", "h", "i"], "y", vec![int("axis", 1)]),
        node("Tan", &["x"], "nobody reads it", vec![]),
    ];
    let error = import_model(&model(&[-1, 3, 4, 4], nodes, vec![])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OperatorUnsupported);
    let message = error.message();
    for expected in [
        "node \"a_node\" (Erf): the operator is not supported",
        "node \"d_node\" (Gelu)",
        "node \"e_node\" (MaxPool): attribute \"surprise\"",
        "domain \"com.example\"",
        "node \"g_node\" (Elu)",
        "and 2 more nodes",
    ] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    for absent in ["b_node", "c_node", "Tan"] {
        assert!(!message.contains(absent), "{absent} in {message}");
    }
}

#[test]
fn an_open_height_or_width_says_how_to_export() -> TestResult {
    let file = model(&[-1, 3, -1, -1], vec![node("Relu", &["x"], "y", vec![])], vec![]);
    let error = import_model(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OperatorUnsupported);
    for part in ["input \"x\"", "axis 2", "d2", "fixed height and width"] {
        assert!(error.message().contains(part), "{part} in {error}");
    }
    let options = OnnxOptions { input_size: Some([5, 7]), ..alone() };
    let graph = import(prost::Message::encode_to_vec(&file).into(), options)?;
    assert_eq!(graph.dump().lines().next(), Some("input x[N,3,5,7]"));
    Ok(())
}

#[test]
fn old_files_list_initializers_among_the_inputs() -> TestResult {
    let mut file = model_of_opset(
        9,
        &[-1, 1, 2, 2],
        vec![node("Conv", &["x", "w"], "y", vec![])],
        vec![filled("w", &[1, 1, 1, 1], 3.0)],
    );
    file.graph.as_mut().ok_or("a graph")?.input.push(input("w", DataType::Float, &[1, 1, 1, 1]));
    assert_eq!(import_model(&file)?.inputs.len(), 1);
    Ok(())
}

#[test]
fn only_the_first_output_of_a_node_is_read() {
    let dropout =
        NodeProto { output: vec!["kept".into(), "mask".into()], ..node("Dropout", &["x"], "kept", vec![]) };
    let reads = |name| model(&[-1, 3], vec![dropout.clone(), node("Relu", &[name], "y", vec![])], vec![]);
    assert!(import_model(&reads("kept")).is_ok());
    let error = import_model(&reads("mask")).unwrap_err();
    assert!(error.message().contains("its output \"mask\" is read"), "{error}");
}

#[test]
fn external_data_is_read_from_the_same_folder_only() -> TestResult {
    let folder = tempfile::tempdir()?;
    let values = noise(8, 1);
    let content: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.path().join("weights.bin"), [vec![0; 4], content].concat())?;
    let import_with = |entries: &[(&str, &str)]| {
        let external = entries.iter().map(|(key, value)| StringStringEntryProto {
            key: Some(key.to_string()),
            value: Some(value.to_string()),
        });
        let weights = TensorProto {
            raw_data: None,
            external_data: external.collect(),
            data_location: Some(1),
            ..filled("w", &[8, 1, 1, 1], 0.0)
        };
        let file = model(&[-1, 1, 1, 1], vec![node("Conv", &["x", "w"], "y", vec![])], vec![weights]);
        import(
            prost::Message::encode_to_vec(&file).into(),
            OnnxOptions { folder: Some(folder.path()), ..alone() },
        )
    };
    let graph = import_with(&[("location", "weights.bin"), ("offset", "4"), ("length", "32")])?;
    let y = run(&graph, &[Tensor::new(&[1, 1, 1, 1], vec![1.0f32])?]);
    assert_eq!(y[0].elements::<f32>()?[..], values);
    for (entries, expected) in [
        (&[("location", "weights.bin"), ("offset", "8"), ("length", "32")][..], "does not lie in"),
        (
            &[("location", "weights.bin"), ("offset", "18446744073709551615"), ("length", "32")],
            "does not lie in",
        ),
        (&[("location", "weights.bin"), ("offset", "-1")], "expected a number of bytes as offset"),
        (&[("location", "weights.bin"), ("length", "16")], "need 32 bytes, found 16"),
        (&[("location", "none.bin")], "none.bin"),
        (&[("location", "../weights.bin")], "the model's own folder"),
        (&[("location", "/etc/passwd")], "the model's own folder"),
        (&[("location", "sub/weights.bin")], "the model's own folder"),
        (&[("location", ".")], "the model's own folder"),
        (&[("location", "")], "the model's own folder"),
        (&[("location", "weights.bin\0")], "the model's own folder"),
        (&[("offset", "4")], "without a location"),
        (&[("location", "weights.bin"), ("basepath", "/")], "no key \"basepath\""),
    ] {
        let error = import_with(entries).unwrap_err();
        assert!(error.message().contains(expected), "{entries:?}: {error}");
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn external_data_behind_a_link_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let outside = tempfile::NamedTempFile::new()?;
    std::fs::write(outside.path(), [0; 4])?;
    std::os::unix::fs::symlink(outside.path(), folder.path().join("weights.bin"))?;
    let weights = TensorProto {
        raw_data: None,
        external_data: vec![StringStringEntryProto {
            key: Some("location".into()),
            value: Some("weights.bin".into()),
        }],
        data_location: Some(1),
        ..filled("w", &[1, 1, 1, 1], 0.0)
    };
    let file = model(&[-1, 1, 1, 1], vec![node("Conv", &["x", "w"], "y", vec![])], vec![weights]);
    let options = OnnxOptions { folder: Some(folder.path()), ..alone() };
    let error = import(prost::Message::encode_to_vec(&file).into(), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileUnreadable);
    assert!(error.message().contains("weights.bin"), "{error}");
    Ok(())
}
