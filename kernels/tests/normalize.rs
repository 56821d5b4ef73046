//! Normalisation: the table against the reference, and the reference against plain arithmetic.

use libvision_kernels::cpu::normalize::{Normalization, NormalizeTable, Planes};
use libvision_kernels::reference::normalize::normalize;

const IMAGENET: Normalization =
    Normalization { scale: 1.0 / 255.0, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

#[test]
fn the_table_equals_the_reference_for_every_byte() {
    let others = Normalization { scale: 0.013, mean: [-3.0, 0.0, 1e-3], std: [1.0, 0.5, -2.0] };
    for normalization in [IMAGENET, others] {
        let table = NormalizeTable::new(&normalization);
        for pixels in [0, 1, 2, 7, 256] {
            let rgb: Vec<u8> = (0..pixels * 3).map(|i| (i * 7 % 256) as u8).collect();
            for planes in [Planes::Chw, Planes::Hwc] {
                let (mut expected, mut found) = (vec![f32::NAN; rgb.len()], vec![f32::NAN; rgb.len()]);
                normalize(&normalization, planes, &rgb, &mut expected);
                table.run(planes, &rgb, &mut found);
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&expected), bits(&found), "{normalization:?} {planes:?} {pixels} pixels");
            }
        }
    }
}

#[test]
fn a_scale_of_one_over_n_divides() {
    for byte in 0..=255 {
        let expected = (f32::from(byte) / 255.0 - 0.485) / 0.229;
        assert_eq!(IMAGENET.apply(0, byte).to_bits(), expected.to_bits(), "{byte}");
    }
    let halves = Normalization { scale: 1.0 / 127.5, mean: [1.0; 3], std: [1.0; 3] };
    let whole = Normalization { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] };
    for byte in 0..=255 {
        assert_eq!(halves.apply(1, byte).to_bits(), (f32::from(byte) / 127.5 - 1.0).to_bits());
        assert_eq!(whole.apply(2, byte), f32::from(byte));
    }
}
