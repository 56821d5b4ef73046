//! Fully connected layers, softmax and top-k against the reference.

use crate::numbers::{Random, compare};
use crate::scores::{best, run_linear, run_softmax};
use anyhow::{Context, Result};
use libvision_cuda_emulator::Device;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::linear::Linear;
use libvision_kernels::cuda::rows::top_k;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::reference;

pub(super) fn linear_layers_are_exact(device: &dyn Device) -> Result<()> {
    for (inputs, outputs) in [(1, 1), (8, 3), (27, 10), (260, 21), (512, 100)] {
        for rows in [1, 4, 6] {
            let mut random = Random(inputs as u64);
            let x = random.grid(rows * inputs, 1.0 / 64.0);
            let weights = random.grid(inputs * outputs, 1.0 / 128.0);
            let bias = random.grid(outputs, 1.0 / 64.0);
            let expected: Vec<f64> = x
                .chunks_exact(inputs)
                .flat_map(|row| reference::linear::linear(row, &weights, Some(&bias), Activation::Relu))
                .collect();
            for element in Element::ALL {
                let layer = Linear { inputs, outputs, element, activation: Activation::Relu };
                let found = run_linear(device, &layer, &x, &weights, &bias)?;
                compare(&found, &expected, |_| 0.0).with_context(|| format!("{layer:?}, {rows} rows"))?;
            }
        }
    }
    Ok(())
}

pub(super) fn a_row_does_not_depend_on_others(device: &dyn Device) -> Result<()> {
    let layer = Linear { inputs: 300, outputs: 17, element: Element::F16, activation: Activation::Identity };
    let mut random = Random(9);
    let (x, weights, bias) = (random.real(8 * 300), random.real(300 * 17), random.real(17));
    let all = run_linear(device, &layer, &x, &weights, &bias)?;
    for row in 0..8 {
        let alone = run_linear(device, &layer, &x[row * 300..][..300], &weights, &bias)?;
        assert_eq!(alone, all[row * 17..][..17], "row {row}");
    }
    Ok(())
}

pub(super) fn softmax_of_rows(device: &dyn Device) -> Result<()> {
    for columns in [1, 5, 128, 1000] {
        let rows: Vec<f32> = Random(5).real(3 * columns).iter().map(|x| x * 30.0).collect();
        let expected: Vec<f64> = rows.chunks_exact(columns).flat_map(reference::softmax::softmax).collect();
        compare(&run_softmax(device, columns, &rows)?, &expected, |i| 1e-5 * expected[i] + 1e-9)?;
    }
    Ok(())
}

pub(super) fn the_best_come_first_and_ties_by_column(device: &dyn Device) -> Result<()> {
    assert_eq!(best(device, &[0.1, 0.4, 0.1, 0.4], 3)?, [1, 3, 0]);
    assert_eq!(best(device, &[-0.0, 0.0, -0.0], 3)?, [0, 1, 2]);
    assert_eq!(best(device, &[-1.0, -2.0, -0.5], 2)?, [2, 0]);
    assert_eq!(best(device, &[0.1, f32::NAN, 0.4, f32::NAN], 4)?, [2, 0, 1, 3]);
    assert_eq!(best(device, &[f32::NAN, -f32::NAN, f32::NEG_INFINITY], 1)?, [2]);
    let scores = Random(6).grid(1000, 1.0);
    let mut order: Vec<u32> = (0..1000).collect();
    order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    assert_eq!(best(device, &scores, 20)?, order[..20]);
    assert!(top_k(1, 3, 4, 0, [0, 0]).is_err());
    Ok(())
}
