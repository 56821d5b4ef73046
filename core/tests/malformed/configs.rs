//! Configuration files with wrong types and values.

use super::{Case, golden, turned_over};
use crate::onnx_file::*;
use prost::Message;

/// A network of 3 classes for pictures of 32x32.
fn network() -> Vec<u8> {
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "pooled", vec![]),
        node("Flatten", &["pooled"], "flat", vec![]),
        node("Gemm", &["flat", "w"], "y", vec![]),
    ];
    model(&[-1, 3, 32, 32], nodes, vec![filled("w", &[3, 3], 0.5)]).encode_to_vec()
}

fn beside(name: &str, file: &str, content: impl Into<Vec<u8>>, expected: &'static str) -> Case {
    let files = vec![("model.onnx".into(), network()), (file.into(), content.into())];
    Case { name: format!("{file}: {name}"), files, expected: Some(expected) }
}

pub fn cases() -> Vec<Case> {
    [files(), timm(), hugging_face(), processors()].into_iter().flatten().collect()
}

fn files() -> Vec<Case> {
    let config = |name: &str, content: Vec<u8>, expected| beside(name, "config.json", content, expected);
    vec![
        config("nothing", vec![], "config.json: EOF"),
        config("no JSON", b"architecture: resnet18".to_vec(), "config.json: expected value"),
        config("a list", b"[]".to_vec(), "expected a JSON object"),
        config("a number", b"7".to_vec(), "expected a JSON object"),
        config("cut off", b"{\"architecture\": \"resn".to_vec(), "config.json: EOF"),
        config("something behind it", b"{} {}".to_vec(), "trailing characters"),
        config("NaN", b"{\"pretrained_cfg\": {\"crop_pct\": NaN}}".to_vec(), "config.json"),
        config("not UTF-8", vec![b'{', 0xff, b'}'], "byte 1 is not UTF-8"),
        config("nested deeply", vec![b'['; 1 << 20], "config.json"),
        config(
            "an unknown field nested deeply",
            format!("{{\"a\": {}", "[".repeat(1 << 20)).into(),
            "EOF while parsing a list",
        ),
        config("over the limit", vec![b' '; 5 << 20], "over the limit of 4194304"),
        beside("too few", "labels.txt", "a\nb\n", "2 labels, and the network has 3 classes"),
        beside("too many", "labels.txt", "a\nb\nc\nd\n", "4 labels, and the network has 3 classes"),
        beside("not UTF-8", "labels.txt", vec![0xff], "labels.txt: byte 0 is not UTF-8"),
        beside("a million", "labels.txt", "a\n".repeat(1 << 20), "more labels than the limit of 65536"),
        beside(
            "over the limit",
            "labels.txt",
            vec![b'a'; 5 << 20],
            "labels.txt: 5242880 bytes are over the limit",
        ),
    ]
}

fn timm() -> Vec<Case> {
    let nested = |field: &str, expected| {
        beside(
            field,
            "config.json",
            format!("{{\"architecture\": \"r\", \"pretrained_cfg\": {{{field}}}}}"),
            expected,
        )
    };
    let top = |field: &str, expected| {
        beside(field, "config.json", format!("{{\"architecture\": \"r\", {field}}}"), expected)
    };
    vec![
        top("\"architecture\": 5", "field \"architecture\": expected text, found 5"),
        top("\"pretrained_cfg\": []", "field \"pretrained_cfg\": expected an object"),
        top("\"label_names\": \"a\"", "field \"label_names\": expected a list of texts"),
        top("\"label_names\": [1, 2, 3]", "field \"label_names\": expected a list of texts"),
        top("\"label_names\": [\"a\", \"b\"]", "label_names): 2 labels, and the network has 3"),
        top("\"label_names\": [\"a\"], \"label_descriptions\": []", "field \"label_descriptions\""),
        beside(
            "a million labels",
            "config.json",
            format!("{{\"architecture\": \"r\", \"label_names\": [\"\"{}]}}", ",\"\"".repeat(1 << 20)),
            "field \"label_names\"",
        ),
        nested("\"input_size\": 224", "field pretrained_cfg.\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, 224]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, 224, 224, 1]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, -224, 224]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, 0, 0]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, 22.5, 22.5]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [3, 1e300, 1e300]", "\"input_size\": expected 3 whole numbers"),
        nested("\"input_size\": [1, 32, 32]", "\"input_size\": expected three channels"),
        nested("\"input_size\": [3, 32, 48]", "expected a square"),
        nested("\"input_size\": [3, 48, 48]", "makes 48x48"),
        nested("\"crop_pct\": \"0.9\"", "\"crop_pct\": expected a number, found \"0.9\""),
        nested("\"crop_pct\": 0", "\"crop_pct\": expected a number from 0.05 to 4"),
        nested("\"crop_pct\": -0.9", "\"crop_pct\": expected a number from 0.05 to 4"),
        nested("\"crop_pct\": 1e9", "\"crop_pct\": expected a number from 0.05 to 4"),
        nested("\"crop_pct\": 1e999", "crop_pct"),
        nested(
            "\"crop_pct\": 0.9, \"crop_mode\": \"center crop\"",
            "\"crop_mode\": expected center, squash or border",
        ),
        nested("\"crop_pct\": 0.9, \"crop_mode\": \"border\"", "\"crop_pct\": expected 1"),
        nested("\"interpolation\": \"cubic\"", "\"interpolation\": expected nearest, box"),
        nested("\"interpolation\": 3", "\"interpolation\": expected text"),
        nested("\"mean\": 0.5", "\"mean\": expected three numbers"),
        nested("\"mean\": [0.5]", "\"mean\": expected three numbers"),
        nested("\"mean\": [0.5, null, 0.5]", "\"mean\": expected three numbers"),
        nested("\"mean\": [1e300, 0, 0]", "\"mean\": expected three numbers"),
        nested("\"std\": [1, 0, 1]", "\"std\": expected three numbers over 0"),
        nested("\"std\": [1, -1, 1]", "\"std\": expected three numbers over 0"),
        nested("\"std\": [1, 1e-60, 1]", "\"std\": expected three numbers over 0"),
        beside(
            "a long mean",
            "config.json",
            format!(
                "{{\"architecture\": \"r\", \"pretrained_cfg\": {{\"mean\": [0{}]}}}}",
                ",0".repeat(1 << 20)
            ),
            "\"mean\": expected three numbers",
        ),
    ]
}

fn hugging_face() -> Vec<Case> {
    let config = |field: &str, expected| beside(field, "config.json", format!("{{{field}}}"), expected);
    vec![
        config("\"architectures\": \"ResNet\"", "\"architectures\": expected a list of texts"),
        config("\"id2label\": [\"a\"]", "\"id2label\": expected an object of texts"),
        config("\"id2label\": {\"0\": 1}", "\"id2label\": expected an object of texts"),
        config("\"id2label\": {\"0\": \"a\", \"2\": \"b\"}", "\"id2label\": expected classes 0 to 1"),
        config("\"id2label\": {\"0\": \"a\", \"0\": \"b\"}", "\"0\" is there twice"),
        config("\"id2label\": {\"-1\": \"a\"}", "\"-1\" is not one"),
        config("\"id2label\": {\"cat\": \"a\"}", "\"cat\" is not one"),
        config("\"id2label\": {\"99999999999999999999\": \"a\"}", "is not one"),
        config("\"id2label\": {\"0\": \"a\", \"1\": \"b\"}", "2 labels, and the network has 3"),
        config("\"problem_type\": \"guessing\"", "\"problem_type\": expected single_label"),
        config("\"problem_type\": 1", "\"problem_type\": expected text"),
        config("\"downsample_in_bottleneck\": \"yes\"", "expected true or false, found \"yes\""),
        config("\"hidden_act\": 7", "\"hidden_act\": expected text"),
        beside(
            "a million labels",
            "config.json",
            format!("{{\"id2label\": {{\"0\": \"\"{}}}}}", ",\"1\":\"\"".repeat(1 << 18)),
            "\"id2label\": expected an object of texts",
        ),
    ]
}

fn processors() -> Vec<Case> {
    let processor =
        |field: &str, expected| beside(field, "preprocessor_config.json", format!("{{{field}}}"), expected);
    let of = |kind: &str, field: &str, expected| {
        let content = format!("{{\"image_processor_type\": \"{kind}ImageProcessor\", {field}}}");
        beside(&format!("{kind}: {field}"), "preprocessor_config.json", content, expected)
    };
    vec![
        processor(
            "\"image_processor_type\": \"SegformerImageProcessor\"",
            "\"image_processor_type\": expected a ConvNext",
        ),
        processor("\"image_processor_type\": 3", "\"image_processor_type\": expected text"),
        processor("\"size\": \"large\"", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": 0", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": -224", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": 1e9", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": {}", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": {\"height\": 3}", "\"size\": expected a number from 1 to 16384"),
        processor("\"size\": {\"shortest_edge\": 3, \"height\": 3, \"width\": 3}", "\"size\": expected"),
        processor("\"size\": {\"shortest_edge\": \"3\"}", "size.\"shortest_edge\": expected a whole number"),
        processor("\"crop_size\": [1, 2]", "\"crop_size\": expected a number"),
        processor("\"crop_size\": 48", "makes 48x48"),
        processor("\"do_center_crop\": false", "depends on the picture"),
        processor("\"do_resize\": false, \"do_center_crop\": false", "depends on the picture"),
        processor("\"do_resize\": 1", "\"do_resize\": expected true or false"),
        processor("\"resample\": 9", "\"resample\": expected a number from 0 to 5"),
        processor("\"resample\": 2.5", "\"resample\": expected a whole number"),
        processor("\"resample\": \"bicubic\"", "\"resample\": expected a number"),
        processor("\"rescale_factor\": 0", "\"rescale_factor\": expected a number"),
        processor("\"rescale_factor\": Infinity", "preprocessor_config.json"),
        processor("\"image_mean\": [1, 2]", "\"image_mean\": expected three numbers"),
        processor("\"image_std\": [0, 0, 0]", "\"image_std\": expected three numbers over 0"),
        of("ConvNext", "\"size\": {\"height\": 32, \"width\": 32}", "\"size\": expected shortest_edge"),
        of("ConvNext", "\"size\": 32, \"crop_pct\": 0", "\"crop_pct\": expected a number"),
        of("ViT", "\"size\": {\"shortest_edge\": 32}", "depends on the picture"),
        of("ViT", "\"size\": 48", "makes 48x48"),
    ]
}

pub fn mutations() -> Vec<Case> {
    let weights = golden("directories/timm/model.safetensors");
    let config = golden("directories/timm/config.json");
    let network = network();
    let processor = golden("directories/hugging_face/preprocessor_config.json");
    let mut cases = turned_over("config.json", &config, &[("model.safetensors", &weights)], 60);
    cases.extend(turned_over("preprocessor_config.json", &processor, &[("model.onnx", &network)], 60));
    cases
}
