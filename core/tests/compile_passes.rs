//! Each pass: the graph before and after it, and the same results.

mod interpret;
mod onnx_file;

use interpret::{largest_difference, noise, run};
use libvision::compile::{Diagnostics, Pipeline};
use libvision::graph::{Dim, Graph, Op, ValueKind, infer_shapes};
use libvision::import::onnx::proto::{NodeProto, TensorProto};
use libvision::{ErrorKind, Tensor};
use onnx_file::*;

/// Weights that look like a trained layer's: small, and different everywhere.
fn weights(name: &str, sizes: &[i64], seed: u64) -> TensorProto {
    let count: i64 = sizes.iter().product();
    floats(name, sizes, &noise(count as usize, seed))
}

/// Scale, shift, mean and variance under the names of a batch norm.
fn statistics(name: &str, channels: i64, seed: u64) -> Vec<TensorProto> {
    let part = |suffix: &str, seed| weights(&format!("{name}.{suffix}"), &[channels], seed);
    let variance: Vec<f32> = noise(channels as usize, seed + 3).iter().map(|x| 0.2 + x * x).collect();
    vec![
        part("scale", seed),
        part("shift", seed + 1),
        part("mean", seed + 2),
        floats(&format!("{name}.variance"), &[channels], &variance),
    ]
}

fn batch_norm(input: &str, name: &str, output: &str) -> NodeProto {
    let parts = ["scale", "shift", "mean", "variance"].map(|part| format!("{name}.{part}"));
    let inputs = [input, &parts[0], &parts[1], &parts[2], &parts[3]];
    node("BatchNormalization", &inputs, output, vec![float("epsilon", 1e-3)])
}

fn conv3x3(input: &str, weights: &str, output: &str) -> NodeProto {
    node("Conv", &[input, weights], output, vec![ints("pads", &[1, 1, 1, 1])])
}

fn import(sizes: &[i64], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> Graph {
    import_model(&model(sizes, nodes, constants)).expect("a graph")
}

fn picture(graph: &Graph) -> Tensor {
    let shape = graph.value(graph.inputs[0]).shape.as_deref().expect("a shape");
    let shape: Vec<usize> = shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Batch => 2,
        })
        .collect();
    let elements = noise(shape.iter().product(), 77).into_iter().map(|x| 4.0 * x).collect();
    Tensor::new(&shape, elements).expect("a tensor")
}

/// The lines of a dump without those of inputs and outputs, and without shapes.
fn nodes_of(graph: &Graph) -> Vec<String> {
    let dump = graph.dump();
    let is_node = |line: &&str| !line.starts_with("input ") && !line.starts_with("output ");
    dump.lines().filter(is_node).map(without_shapes).collect()
}

fn without_shapes(line: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for c in line.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}

/// Runs the passes up to `pass`; compares the nodes before and after, and the results.
fn check(mut graph: Graph, pass: &str, before: &[&str], after: &[&str]) -> Diagnostics {
    assert_eq!(nodes_of(&graph), before, "before {pass}");
    let picture = picture(&graph);
    let expected = run(&graph, std::slice::from_ref(&picture));
    let pipeline = Pipeline::standard().stopping_at(pass).expect("a pass");
    let diagnostics = pipeline.run(&mut graph).expect("a valid graph");
    assert_eq!(nodes_of(&graph), after, "after {pass}");
    let found = run(&graph, &[picture]);
    for (found, expected) in found.iter().zip(&expected) {
        let difference = largest_difference(found, expected);
        assert!(difference < 1e-5, "{pass} changed the result by {difference}");
    }
    assert_eq!(diagnostics.nodes_before, before.len());
    assert_eq!(diagnostics.nodes_after, after.len());
    diagnostics
}

fn fired(diagnostics: &Diagnostics, pass: &str) -> Vec<(String, String)> {
    let of_pass = diagnostics.fired.iter().filter(|finding| finding.pass == pass);
    of_pass.map(|finding| (finding.node.clone(), finding.what.clone())).collect()
}

#[test]
fn constants_are_folded() {
    let nodes = vec![
        node("Add", &["a", "b"], "sum", vec![]),
        node("Mul", &["sum", "b"], "product", vec![]),
        node("Sigmoid", &["product"], "gate", vec![]),
        node("Mul", &["x", "gate"], "y", vec![]),
    ];
    let graph = import(&[-1, 3, 4, 5], nodes, vec![weights("a", &[3, 1, 1], 1), weights("b", &[1, 5], 2)]);
    check(
        graph,
        "fold_constants",
        &[
            "sum = Add(const a, const b)",
            "product = Mul(sum, const b)",
            "gate = Activate sigmoid(product)",
            "y = Mul(x, gate)",
        ],
        &["y = Mul(x, const gate)"],
    );
}

#[test]
fn batch_norm_goes_into_a_convolution_with_and_without_bias_and_with_groups() {
    for (bias, groups) in [(false, 1), (true, 1), (true, 2)] {
        let mut constants = statistics("bn", 6, 10);
        constants.push(weights("w", &[6, 4 / groups, 3, 3], 1));
        constants.push(weights("b", &[6], 2));
        let inputs: &[&str] = if bias { &["x", "w", "b"] } else { &["x", "w"] };
        let conv = node("Conv", inputs, "c", vec![int("group", groups), ints("strides", &[2, 2])]);
        let graph = import(&[-1, 4, 7, 7], vec![conv, batch_norm("c", "bn", "y")], constants);
        let groups = if groups == 1 { String::new() } else { format!(" groups {groups}") };
        let before = match bias {
            true => format!("c = Conv2d 3x3 stride 2x2{groups} +bias(x, const w, const b)"),
            false => format!("c = Conv2d 3x3 stride 2x2{groups}(x, const w)"),
        };
        let norm = "y = BatchNorm epsilon 0.001(c, const bn.scale, const bn.shift, const bn.mean, const bn.variance)";
        let diagnostics = check(
            graph,
            "fold_batch_norm",
            &[&before, norm],
            &[&format!("y = Conv2d 3x3 stride 2x2{groups} +bias(x, const w, const c_node.bias)")],
        );
        let what = "batch norm into the convolution before it";
        assert_eq!(fired(&diagnostics, "fold_batch_norm"), [("c_node".into(), what.into())]);
    }
}

#[test]
fn batch_norm_goes_into_a_fully_connected_layer() {
    let mut constants = statistics("bn", 5, 20);
    constants.push(weights("w", &[5, 8], 1));
    let gemm = node("Gemm", &["x", "w"], "f", vec![int("transB", 1)]);
    let graph = import(&[-1, 8], vec![gemm, batch_norm("f", "bn", "y")], constants);
    check(
        graph,
        "fold_batch_norm",
        &[
            "f = Linear(x, const w)",
            "y = BatchNorm epsilon 0.001(f, const bn.scale, const bn.shift, const bn.mean, const bn.variance)",
        ],
        &["y = Linear +bias(x, const w, const f_node.bias)"],
    );
}

#[test]
fn batch_norm_stays_where_others_read_the_sum_or_no_convolution_is_before() {
    let mut constants = statistics("bn", 4, 30);
    constants.push(weights("w", &[4, 4, 3, 3], 1));
    let nodes = vec![
        batch_norm("x", "bn", "first"),
        conv3x3("first", "w", "c"),
        batch_norm("c", "bn", "n"),
        node("Add", &["n", "c"], "y", vec![]),
    ];
    let mut graph = import(&[-1, 4, 5, 5], nodes, constants);
    let before = nodes_of(&graph);
    let pipeline = Pipeline::standard().stopping_at("fold_batch_norm").expect("a pass");
    let diagnostics = pipeline.run(&mut graph).expect("a valid graph");
    assert_eq!(nodes_of(&graph), before);
    let missed: Vec<&str> = diagnostics.missed.iter().map(|finding| finding.node.as_str()).collect();
    assert_eq!(missed, ["n_node"]);
}

#[test]
fn a_negative_variance_is_an_error_that_names_node_and_channel() {
    let mut constants = statistics("bn", 2, 40);
    constants[3] = floats("bn.variance", &[2], &[1.0, -1.0]);
    constants.push(weights("w", &[2, 2, 3, 3], 1));
    let nodes = vec![conv3x3("x", "w", "c"), batch_norm("c", "bn", "y")];
    let error = Pipeline::standard().run(&mut import(&[-1, 2, 3, 3], nodes, constants)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelInvalid);
    assert!(error.message().contains("y_node") && error.message().contains("channel 1 is -1"), "{error}");
}

#[test]
fn activations_written_in_several_nodes_become_one() {
    let scalar = |name: &str, value| floats(name, &[], &[value]);
    let constants =
        || vec![scalar("three", 3.0), scalar("zero", 0.0), scalar("six", 6.0), scalar("sixth", 1.0 / 6.0)];
    let sigmoid = || node("Sigmoid", &["x"], "s", vec![]);
    let hard = || node("HardSigmoid", &["x"], "s", vec![float("alpha", 1.0 / 6.0)]);
    let shifted =
        || vec![node("Add", &["x", "three"], "a", vec![]), node("Clip", &["a", "zero", "six"], "c", vec![])];
    let chain = |more: Vec<NodeProto>| [shifted(), more].concat();
    for (nodes, expected) in [
        (vec![sigmoid(), node("Mul", &["x", "s"], "y", vec![])], "y = Activate silu(x)"),
        (vec![sigmoid(), node("Mul", &["s", "x"], "y", vec![])], "y = Activate silu(x)"),
        (vec![hard(), node("Mul", &["x", "s"], "y", vec![])], "y = Activate hard_swish(x)"),
        (chain(vec![node("Div", &["c", "six"], "y", vec![])]), "y = Activate hard_sigmoid 0.16666667 0.5(x)"),
        (
            chain(vec![node("Div", &["c", "six"], "h", vec![]), node("Mul", &["x", "h"], "y", vec![])]),
            "y = Activate hard_swish(x)",
        ),
        (
            chain(vec![node("Mul", &["x", "c"], "h", vec![]), node("Mul", &["h", "sixth"], "y", vec![])]),
            "y = Activate hard_swish(x)",
        ),
    ] {
        let mut graph = import(&[-1, 4, 5, 5], nodes, constants());
        let picture = picture(&graph);
        let before = run(&graph, std::slice::from_ref(&picture));
        Pipeline::standard().run(&mut graph).expect("a valid graph");
        assert_eq!(nodes_of(&graph), [expected]);
        assert!(largest_difference(&run(&graph, &[picture])[0], &before[0]) < 1e-6);
    }
}

#[test]
fn products_that_only_look_like_activations_stay() {
    let scalar = |name: &str, value| floats(name, &[], &[value]);
    let constants = vec![scalar("four", 4.0), scalar("zero", 0.0), scalar("six", 6.0)];
    let shifted = vec![
        node("Add", &["x", "four"], "a", vec![]),
        node("Clip", &["a", "zero", "six"], "c", vec![]),
        node("Div", &["c", "six"], "y", vec![]),
    ];
    let other = vec![
        node("Relu", &["x"], "r", vec![]),
        node("Sigmoid", &["x"], "s", vec![]),
        node("Mul", &["r", "s"], "y", vec![]),
    ];
    for nodes in [shifted, other] {
        let mut graph = import(&[-1, 4, 5, 5], nodes, constants.clone());
        let pipeline = Pipeline::standard().stopping_at("fuse_activations").expect("a pass");
        let before = nodes_of(&graph);
        pipeline.run(&mut graph).expect("a valid graph");
        assert_eq!(nodes_of(&graph), before);
    }
}

#[test]
fn bias_residual_and_activation_go_into_the_convolution() {
    let nodes = vec![
        conv3x3("x", "w1", "a"),
        node("Add", &["a", "b"], "biased", vec![]),
        node("Relu", &["biased"], "r", vec![]),
        conv3x3("r", "w2", "c"),
        node("Add", &["c", "x"], "sum", vec![]),
        node("Clip", &["sum", "zero", "six"], "y", vec![]),
    ];
    let constants = vec![
        weights("w1", &[4, 4, 3, 3], 1),
        weights("w2", &[4, 4, 3, 3], 2),
        weights("b", &[1, 4, 1, 1], 3),
        floats("zero", &[], &[0.0]),
        floats("six", &[], &[6.0]),
    ];
    let diagnostics = check(
        import(&[-1, 4, 5, 5], nodes, constants),
        "fuse_conv_epilogue",
        &[
            "a = Conv2d 3x3 border 1,1,1,1(x, const w1)",
            "biased = Add(a, const b)",
            "r = Activate relu(biased)",
            "c = Conv2d 3x3 border 1,1,1,1(r, const w2)",
            "sum = Add(c, x)",
            "y = Activate clip 0 to 6(sum)",
        ],
        &[
            "r = Conv2d 3x3 border 1,1,1,1 +bias relu(x, const w1, const a_node.bias)",
            "y = Conv2d 3x3 border 1,1,1,1 +residual clip 0 to 6(r, const w2, x)",
        ],
    );
    let expected =
        [("a_node", "bias"), ("a_node", "activation"), ("c_node", "residual"), ("c_node", "activation")];
    let expected = expected.map(|(node, what)| (node.to_string(), what.to_string()));
    assert_eq!(fired(&diagnostics, "fuse_conv_epilogue"), expected);
}

#[test]
fn an_activation_in_several_nodes_goes_into_the_convolution_too() {
    let nodes = vec![
        conv3x3("x", "w", "c"),
        node("Sigmoid", &["c"], "s", vec![]),
        node("Mul", &["c", "s"], "y", vec![]),
    ];
    check(
        import(&[-1, 4, 5, 5], nodes, vec![weights("w", &[4, 4, 3, 3], 1)]),
        "fuse_conv_epilogue",
        &["c = Conv2d 3x3 border 1,1,1,1(x, const w)", "s = Activate sigmoid(c)", "y = Mul(c, s)"],
        &["y = Conv2d 3x3 border 1,1,1,1 silu(x, const w)"],
    );
}

#[test]
fn of_two_convolutions_the_later_one_adds() {
    let nodes = vec![
        conv3x3("x", "w1", "main"),
        node("Conv", &["x", "w2"], "shortcut", vec![]),
        node("Add", &["main", "shortcut"], "sum", vec![]),
        node("Relu", &["sum"], "y", vec![]),
    ];
    check(
        import(&[-1, 4, 5, 5], nodes, vec![weights("w1", &[6, 4, 3, 3], 1), weights("w2", &[6, 4, 1, 1], 2)]),
        "fuse_conv_epilogue",
        &[
            "main = Conv2d 3x3 border 1,1,1,1(x, const w1)",
            "shortcut = Conv2d 1x1(x, const w2)",
            "sum = Add(main, shortcut)",
            "y = Activate relu(sum)",
        ],
        &[
            "main = Conv2d 3x3 border 1,1,1,1(x, const w1)",
            "y = Conv2d 1x1 +residual relu(x, const w2, main)",
        ],
    );
}

#[test]
fn what_others_read_is_not_fused_away() {
    let nodes = vec![
        conv3x3("x", "w", "c"),
        node("Relu", &["c"], "r", vec![]),
        node("Add", &["r", "c"], "y", vec![]),
    ];
    let expected = ["c = Conv2d 3x3 border 1,1,1,1(x, const w)", "r = Activate relu(c)", "y = Add(r, c)"];
    let graph = import(&[-1, 4, 5, 5], nodes, vec![weights("w", &[4, 4, 3, 3], 1)]);
    let diagnostics = check(graph, "remove_dead_nodes", &expected, &expected);
    let missed: Vec<&str> = diagnostics.missed.iter().map(|finding| finding.node.as_str()).collect();
    assert_eq!(missed, ["r_node", "y_node"]);
}

#[test]
fn a_convolution_that_is_an_output_keeps_its_own_result() {
    let nodes = vec![conv3x3("x", "w", "c"), node("Relu", &["c"], "y", vec![])];
    let mut file = model(&[-1, 4, 5, 5], nodes, vec![weights("w", &[4, 4, 3, 3], 1)]);
    let graph = file.graph.as_mut().expect("a graph");
    graph.output.push(input("c", libvision::import::onnx::proto::tensor_proto::DataType::Float, &[]));
    let graph = import_model(&file).expect("a graph");
    let expected = ["c = Conv2d 3x3 border 1,1,1,1(x, const w)", "y = Activate relu(c)"];
    check(graph, "remove_dead_nodes", &expected, &expected);
}

#[test]
fn a_sum_that_broadcasts_is_no_residual_and_no_bias() {
    for constant in [weights("k", &[4, 5, 5], 2), weights("k", &[5], 2), weights("k", &[5, 1], 2)] {
        let nodes = vec![conv3x3("x", "w", "c"), node("Add", &["c", "k"], "y", vec![])];
        let expected = ["c = Conv2d 3x3 border 1,1,1,1(x, const w)", "y = Add(c, const k)"];
        let graph = import(&[-1, 4, 5, 5], nodes, vec![weights("w", &[4, 4, 3, 3], 1), constant]);
        check(graph, "remove_dead_nodes", &expected, &expected);
    }
}

#[test]
fn sums_and_fully_connected_layers_take_activations_and_biases() {
    let nodes = vec![
        node("MatMul", &["x", "w1"], "a", vec![]),
        node("Add", &["b", "a"], "biased", vec![]),
        node("Relu", &["biased"], "r", vec![]),
        node("Add", &["r", "x"], "sum", vec![]),
        node("Sigmoid", &["sum"], "y", vec![]),
    ];
    check(
        import(&[-1, 6], nodes, vec![weights("w1", &[6, 6], 1), weights("b", &[6], 2)]),
        "fuse_conv_epilogue",
        &[
            "a = Linear(x, const w1)",
            "biased = Add(const b, a)",
            "r = Activate relu(biased)",
            "sum = Add(r, x)",
            "y = Activate sigmoid(sum)",
        ],
        &["r = Linear +bias relu(x, const w1, const a_node.bias)", "y = Add sigmoid(r, x)"],
    );
}

#[test]
fn flatten_vanishes_into_pooling_and_where_all_is_flat() {
    let nodes =
        vec![node("GlobalAveragePool", &["x"], "pooled", vec![]), node("Flatten", &["pooled"], "y", vec![])];
    let mut graph = import(&[-1, 4, 5, 5], nodes, vec![]);
    // The importer writes no such node; other sources of graphs may.
    let flat = graph.outputs[0].value;
    let again = graph.add_node("again", Op::Flatten, vec![flat], "again");
    let softmax = graph.add_node("softmax", Op::Softmax, vec![again], "y");
    graph.outputs[0].value = softmax;
    infer_shapes(&mut graph).expect("shapes");
    check(
        graph,
        "fold_flatten",
        &[
            "pooled = GlobalAveragePool keep_dims(x)",
            "pooled.flatten = Flatten(pooled)",
            "again = Flatten(pooled.flatten)",
            "y = Softmax(again)",
        ],
        &["pooled.flatten = GlobalAveragePool(x)", "y = Softmax(pooled.flatten)"],
    );
}

#[test]
fn dead_nodes_and_their_constants_go() {
    let nodes = vec![node("Sigmoid", &["x"], "s", vec![]), node("Mul", &["x", "s"], "y", vec![])];
    let mut graph = import(&[-1, 4], nodes, vec![]);
    graph.add_constant("nobody reads it", Tensor::new(&[1], vec![1.0f32]).expect("a tensor"));
    Pipeline::standard().run(&mut graph).expect("a valid graph");
    assert_eq!(nodes_of(&graph), ["y = Activate silu(x)"]);
    assert!(graph.values.iter().all(|value| !matches!(value.kind, ValueKind::Constant(_))));
    assert_eq!(graph.values.len(), 2);
}

#[test]
fn a_pass_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let error = Pipeline::standard().stopping_at("fold_everything").err().expect("an error");
    assert!(error.message().contains("fold_batch_norm"), "{error}");
}

/// One node of a random network: what it is, and how far back it reads.
type Choice = (u8, u8, u8);

/// A network `[N,4,5,5]` to `[N,3]` whose nodes read any of those before them.
fn random_network(choices: &[Choice]) -> Graph {
    let mut nodes = Vec::new();
    let mut constants = vec![floats("half", &[], &[0.5])];
    let mut values = vec!["x".to_string()];
    for (index, &(kind, back, back2)) in choices.iter().enumerate() {
        let seed = index as u64 * 8 + 1;
        let [a, b] = [back, back2].map(|back| {
            let recent = values.len().min(3);
            values[values.len() - 1 - usize::from(back) % recent].clone()
        });
        let (name, constant) = (format!("v{index}"), format!("c{index}"));
        let added = match kind % 10 {
            0 | 1 => {
                constants.push(weights(&constant, &[4, 4, 3, 3], seed));
                conv3x3(&a, &constant, &name)
            }
            2 | 3 => {
                constants.extend(statistics(&constant, 4, seed));
                batch_norm(&a, &constant, &name)
            }
            4 => node("Relu", &[&a], &name, vec![]),
            5 => node("Sigmoid", &[&a], &name, vec![]),
            6 => node("Add", &[&a, &b], &name, vec![]),
            7 => {
                constants.push(weights(&constant, &[4, 1, 1], seed));
                node("Add", &[&constant, &a], &name, vec![])
            }
            8 => node("Add", &[&a, "half"], &name, vec![]),
            // A gate, so that numbers stay small.
            _ => {
                nodes.push(node("Sigmoid", &[&a], &format!("{name}.gate"), vec![]));
                node("Mul", &[&b, &format!("{name}.gate")], &name, vec![])
            }
        };
        nodes.push(added);
        values.push(name);
    }
    let last = values.pop().expect("at least the input");
    nodes.push(node("GlobalAveragePool", &[&last], "pooled", vec![]));
    nodes.push(node("Flatten", &["pooled"], "flat", vec![]));
    nodes.push(node("MatMul", &["flat", "w"], "product", vec![]));
    nodes.push(node("Add", &["product", "bias"], "y", vec![]));
    constants.extend([weights("w", &[4, 3], 900), weights("bias", &[3], 901)]);
    import(&[-1, 4, 5, 5], nodes, constants)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn passes_never_change_what_a_network_computes(
        choices in proptest::collection::vec(proptest::arbitrary::any::<Choice>(), 0..14),
    ) {
        let mut graph = random_network(&choices);
        let picture = picture(&graph);
        let expected = run(&graph, std::slice::from_ref(&picture));
        let before = graph.nodes.len();
        Pipeline::standard().run(&mut graph).expect("a valid graph");
        proptest::prop_assert!(graph.nodes.len() < before, "the bias of the end is always fused");
        let difference = largest_difference(&run(&graph, &[picture])[0], &expected[0]);
        proptest::prop_assert!(difference < 1e-4, "{difference}\n{}", graph.dump());
    }
}
