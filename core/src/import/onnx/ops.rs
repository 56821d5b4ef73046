//! The operators that are read: each with its attributes, its number of inputs and its translator.
//!
//! What an operator means is said in <https://onnx.ai/onnx/operators/>. A form of it that has no
//! counterpart in the graph is `OPERATOR_UNSUPPORTED`, never an approximation.

mod conv;
mod elementwise;
mod linear;
mod pool;
mod reshape;
mod sizes;

use super::node::NodeReader;
use super::operand::Operand;
use crate::error::Result;
use std::ops::RangeInclusive;

/// Translates one node.
type Translate = for<'i, 'm> fn(&mut NodeReader<'i, 'm>) -> Result<Operand>;

/// One operator that is read.
pub(super) struct Operator {
    /// Name in the file.
    pub(super) name: &'static str,
    /// How many inputs it may have.
    pub(super) inputs: RangeInclusive<usize>,
    /// The attributes that are known; others are an error.
    pub(super) attributes: &'static [&'static str],
    /// The translator.
    pub(super) translate: Translate,
}

const fn operator(
    name: &'static str,
    inputs: RangeInclusive<usize>,
    attributes: &'static [&'static str],
    translate: Translate,
) -> Operator {
    Operator { name, inputs, attributes, translate }
}

const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const MAX_POOL: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
const AVERAGE_POOL: &[&str] =
    &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
const BATCH_NORM: &[&str] = &["epsilon", "momentum", "spatial", "training_mode"];
const CONSTANT: &[&str] = &["value", "value_float", "value_floats", "value_int", "value_ints"];

/// Every operator that is read, in order of its name.
pub(super) const OPERATORS: &[Operator] = &[
    operator("Add", 2..=2, &[], elementwise::add),
    operator("AveragePool", 1..=1, AVERAGE_POOL, pool::average_pool),
    operator("BatchNormalization", 5..=5, BATCH_NORM, conv::batch_normalization),
    operator("Cast", 1..=1, &["to", "saturate", "round_mode"], sizes::cast),
    operator("CastLike", 2..=2, &["saturate", "round_mode"], sizes::cast_like),
    operator("Clip", 1..=3, &["min", "max"], elementwise::clip),
    operator("Concat", 1..=64, &["axis"], sizes::concat),
    operator("Constant", 0..=0, CONSTANT, sizes::constant),
    operator("ConstantOfShape", 1..=1, &["value"], sizes::constant_of_shape),
    operator("Conv", 2..=3, CONV, conv::conv),
    operator("Div", 2..=2, &[], elementwise::div),
    operator("Dropout", 1..=3, &["ratio", "seed"], elementwise::dropout),
    operator("Expand", 2..=2, &[], sizes::expand),
    operator("Flatten", 1..=1, &["axis"], reshape::flatten),
    operator("Gather", 2..=2, &["axis"], sizes::gather),
    operator("Gemm", 2..=3, &["alpha", "beta", "transA", "transB"], linear::gemm),
    operator("GlobalAveragePool", 1..=1, &[], pool::global_average_pool),
    operator("HardSigmoid", 1..=1, &["alpha", "beta"], elementwise::hard_sigmoid),
    operator("HardSwish", 1..=1, &[], elementwise::hard_swish),
    operator("Identity", 1..=1, &[], elementwise::identity),
    operator("MatMul", 2..=2, &[], linear::mat_mul),
    operator("MaxPool", 1..=1, MAX_POOL, pool::max_pool),
    operator("Mul", 2..=2, &[], elementwise::mul),
    operator("Pad", 1..=4, &["mode", "pads", "value"], reshape::pad),
    operator("ReduceMean", 1..=2, &["axes", "keepdims", "noop_with_empty_axes"], pool::reduce_mean),
    operator("Relu", 1..=1, &[], elementwise::relu),
    operator("Reshape", 2..=2, &["allowzero"], reshape::reshape),
    operator("Shape", 1..=1, &["start", "end"], sizes::shape),
    operator("Sigmoid", 1..=1, &[], elementwise::sigmoid),
    operator("Slice", 1..=5, &["axes", "ends", "starts"], sizes::slice),
    operator("Softmax", 1..=1, &["axis"], linear::softmax),
    operator("Squeeze", 1..=2, &["axes"], reshape::squeeze),
    operator("Sub", 2..=2, &[], elementwise::sub),
    operator("Swish", 1..=1, &["alpha"], elementwise::swish),
    operator("Transpose", 1..=1, &["perm"], linear::transpose),
    operator("Unsqueeze", 1..=2, &["axes"], reshape::unsqueeze),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sorted_and_the_guide_lists_the_same_operators() {
        let names: Vec<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
        let guide = std::fs::read_to_string(guide).expect("docs/operators.md");
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| `"));
        let first_cells = rows.filter_map(|row| row.split('|').next());
        let listed: BTreeSet<&str> =
            first_cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim().trim_matches('`')).collect();
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), names);
    }
}
