//! Safetensors files whose headers lie, and sets of tensors that are no network.

use super::{Case, golden, one, turned_over};

/// A file with this header and so many bytes of elements.
fn file(header: &str, elements: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; elements]].concat()
}

fn tensor(dtype: &str, shape: &str, start: &str, end: &str) -> String {
    format!(r#"{{"conv1.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}}}"#)
}

pub fn cases() -> Vec<Case> {
    let network = golden("safetensors/resnet18.torchvision.safetensors");
    let with_length = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    let mut cases = Vec::new();
    let mut add = |name: &str, content: Vec<u8>, expected| {
        cases.push(one(name.into(), "model.safetensors", content, expected));
    };
    add("an empty file", vec![], "0 bytes are too few");
    add("half a length", vec![2, 0, 0], "3 bytes are too few");
    add("a header over the end", with_length(3), "should have 3 bytes, and 2 are left");
    add("the longest header", with_length(u64::MAX), "are left");
    add("a header of nothing", with_length(0), "header is not as expected");
    add("a header that is no JSON", file("this is no JSON", 0), "header is not as expected");
    add("a header that is cut off", file("{\"a\":", 0), "header is not as expected");
    add("a header that is a list", file("[]", 0), "an object with one entry per tensor");
    add(
        "a header that is not text",
        [&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(),
        "header is not as expected",
    );
    add("a header that is nested deeply", file(&"{\"a\":".repeat(100_000), 0), "header is not as expected");
    add(
        "metadata that is nested deeply",
        file(&format!("{{\"__metadata__\":{}", "[".repeat(100_000)), 0),
        "EOF while parsing a list",
    );
    add("an entry that is no tensor", file(r#"{"a":1}"#, 0), "header is not as expected");
    add(
        "an entry without a type",
        file(r#"{"a":{"shape":[],"data_offsets":[0,0]}}"#, 0),
        "missing field `dtype`",
    );
    add(
        "an entry without a shape",
        file(r#"{"a":{"dtype":"F32","data_offsets":[0,0]}}"#, 0),
        "missing field `shape`",
    );
    add(
        "an entry without a place",
        file(r#"{"a":{"dtype":"F32","shape":[]}}"#, 0),
        "missing field `data_offsets`",
    );
    add(
        "two tensors of one name",
        file(
            r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
            0,
        ),
        "two tensors are named \"a\"",
    );
    add("a negative size", file(&tensor("F32", "[-1]", "0", "4"), 4), "header is not as expected");
    add("a broken size", file(&tensor("F32", "[1.5]", "0", "4"), 4), "header is not as expected");
    add(
        "a place with one end",
        file(r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0]}}"#, 0),
        "header is not as expected",
    );
    add(
        "a place that ends before it begins",
        file(&tensor("F32", "[1]", "4", "0"), 4),
        "found at bytes 4 to 0",
    );
    add("a place after the end", file(&tensor("F32", "[1]", "0", "4"), 3), "within 3");
    add(
        "a place at the end of numbers",
        file(&tensor("F32", "[1]", "0", "18446744073709551615"), 3),
        "within 3",
    );
    add("a gap before the tensor", file(&tensor("F32", "[1]", "4", "8"), 8), "expected a range from 0");
    add(
        "a rest after the tensor",
        file(&tensor("F32", "[1]", "0", "4"), 9),
        "9 bytes of elements, of which the tensors take 4",
    );
    add("a shape of fewer bytes", file(&tensor("F32", "[2]", "0", "4"), 4), "does not fit its 4 bytes");
    add(
        "a shape that overflows",
        file(&tensor("F32", "[9223372036854775807,9223372036854775807]", "0", "4"), 4),
        "does not fit its 4 bytes",
    );
    add(
        "a shape of many axes",
        file(&tensor("F32", &format!("[{}1]", "1,".repeat(1 << 19)), "0", "4"), 4),
        "more than 8 axes",
    );
    add(
        "tensors that overlap",
        file(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6,
        ),
        "tensor \"b\": found at bytes 2 to 6",
    );
    add(
        "a million tensors",
        file(
            &format!(
                "{{{}}}",
                (0..40_000)
                    .map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            0,
        ),
        "more than 16384 tensors",
    );
    add(
        "a header over the limit",
        file(&format!("{{\"__metadata__\":\"{}\"}}", "x".repeat(9 << 20)), 0),
        "over the limit of 8388608",
    );
    add("no tensors at all", file("{}", 0), "not those of a ResNet");
    add(
        "tensors of another network",
        file(r#"{"encoder.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4),
        "encoder.weight",
    );
    add(
        "a first convolution alone",
        file(&tensor("F32", "[1,3,7,7]", "0", "588"), 588),
        "not those of a ResNet",
    );
    for (name, old, new, expected) in [
        ("weights of an unknown type", "\"F32\"", "\"Q4K\"", "expected elements F32, F16 or BF16, found Q4K"),
        ("weights of whole numbers", "\"F32\"", "\"I32\"", "found I32"),
        ("a tensor of another name", "\"fc.bias\"", "\"fc.bios\"", "fc.bios"),
        ("a missing weight", "\"fc.weight\"", "\"xx.weight\"", "\"fc.weight\" is missing"),
        ("a missing mean", "\"bn1.running_mean\"", "\"bn1.running_moan\"", "\"bn1.running_mean\" is missing"),
    ] {
        let length = u64::from_le_bytes(network[..8].try_into().expect("eight bytes")) as usize;
        let header = std::str::from_utf8(&network[8..8 + length]).expect("a header").replace(old, new);
        add(
            name,
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &network[8 + length..]].concat(),
            expected,
        );
    }
    for part in 0..8 {
        let length = network.len() * part / 8 + 9;
        add(&format!("cut after {length} bytes"), network[..length].to_vec(), "damaged");
    }
    cases
}

pub fn mutations() -> Vec<Case> {
    turned_over("model.safetensors", &golden("safetensors/resnet18.torchvision.safetensors"), &[], 60)
}
