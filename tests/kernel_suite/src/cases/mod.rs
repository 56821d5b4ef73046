//! THE list of cases: what every device must pass.

mod convolution;
mod layers;
mod preprocessing;
mod scores;
mod windows;

use anyhow::Result;
use libvision_cuda_emulator::Device;

/// A check of kernels against the CPU.
pub struct Case {
    /// The family that it belongs to.
    pub group: &'static str,
    /// What holds if it passes.
    pub name: &'static str,
    /// Fails with where and by how much the device is off.
    pub run: fn(&dyn Device) -> Result<()>,
}

macro_rules! cases {
    ($($group:ident::$name:ident,)+) => {
        /// Every case, those of a group together.
        pub const CASES: &[Case] =
            &[$(Case { group: stringify!($group), name: stringify!($name), run: $group::$name },)+];
    };
}

cases![
    convolution::awkward_layers_are_exact,
    convolution::real_numbers_are_within_the_rounding_of_f32_sums,
    convolution::activations_follow_the_sum,
    convolution::a_result_depends_on_nothing_but_its_image,
    windows::depthwise_layers_are_exact,
    windows::pooling_is_that_of_the_reference,
    windows::the_border_never_wins_and_neither_does_nan,
    windows::global_means,
    windows::pairs_of_tensors,
    scores::linear_layers_are_exact,
    scores::a_row_does_not_depend_on_others,
    scores::softmax_of_rows,
    scores::the_best_come_first_and_ties_by_column,
    preprocessing::equals_the_cpu_on_540_geometries,
    preprocessing::tall_and_large_pictures,
    layers::every_layer_of_four_networks_is_exact,
];

/// The groups, in the order of the list.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = CASES.iter().map(|case| case.group).collect();
    groups.dedup();
    groups
}
