//! The table of kernels.

use libvision_kernels::cpu::isa::Isa;
use libvision_kernels::cpu::variants::{all, usable, usable_sets};
use std::collections::HashSet;

/// `<dtype>_<family>[_<epilogue>]_<tile>_<isa>`
fn follows_the_rule(name: &str, tile: [usize; 2], isa: Isa) -> bool {
    let end = format!("_{}x{}_{}", tile[0], tile[1], isa.name());
    let Some(start) = name.strip_suffix(&end) else { return false };
    let mut words = start.split('_');
    let is_dtype = words.next().is_some_and(|word| ["f32", "u8", "s8"].contains(&word));
    let families = ["gemm", "conv2d", "pool2d", "elementwise", "softmax", "resize", "normalize"];
    is_dtype
        && words.next().is_some_and(|word| families.contains(&word))
        && words.all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

#[test]
fn names_are_unique_and_follow_the_rule() {
    let mut names = HashSet::new();
    for variant in all() {
        assert!(names.insert(variant.name), "{} is listed twice", variant.name);
        assert!(follows_the_rule(variant.name, variant.tile, variant.isa), "{variant:?}");
        assert_eq!(variant.tile[1] % variant.lanes, 0, "{variant:?}");
    }
}

#[test]
fn the_rule_can_be_broken() {
    let tile = [6, 16];
    assert!(follows_the_rule("f32_gemm_6x16_avx2", tile, Isa::Avx2Fma));
    for name in ["gemm_6x16_avx2", "f32_matmul_6x16_avx2", "f32_gemm_6x8_avx2", "f32_gemm_6x16_avx512"] {
        assert!(!follows_the_rule(name, tile, Isa::Avx2Fma), "{name}");
    }
}

#[test]
fn each_set_has_each_family_and_the_portable_one_is_always_usable() {
    for set in usable_sets() {
        assert!(set.isa.is_available());
        for family in [
            "gemm",
            "conv2d_depthwise",
            "conv2d_grouped",
            "conv2d_winograd_f2",
            "conv2d_winograd_f4",
            "conv2d_winograd_f4s2",
            "conv2d_winograd_f4t4",
            "conv2d_winograd_f5",
            "pool2d",
            "elementwise",
            "softmax",
        ] {
            let start = format!("f32_{family}_");
            let of_family = set.variants().iter().filter(|variant| variant.name.starts_with(&start));
            assert_eq!(of_family.count(), 1, "{family} of {}", set.isa);
        }
        assert!(set.variants().iter().all(|v| v.isa == set.isa && v.lanes == set.lanes));
    }
    assert_eq!(usable_sets().last().map(|set| set.isa), Some(Isa::Portable));
    assert!(usable().count() <= all().count());
}
