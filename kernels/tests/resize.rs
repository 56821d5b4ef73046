//! Resize: every variant against the reference, and the reference against Pillow.

use libvision_kernels::cpu::resize::{Filter, Rect, ResizeGeometry, ResizeKernels, ResizePlan, usable};
use libvision_kernels::reference::resize as reference;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// SplitMix64, the high byte of each number; the golden scripts make the same bytes.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 56) as u8
        })
        .collect()
}

/// Runs a variant into a wider output and checks that nothing beside the window is written.
fn run(kernels: &ResizeKernels, geometry: &ResizeGeometry, input: &[u8]) -> Vec<u8> {
    const MARGIN: usize = 5;
    const UNTOUCHED: u8 = 0xa5;
    let plan = ResizePlan::new(geometry);
    let window = geometry.window;
    let (row, stride) = (window.width * 3, window.width * 3 + MARGIN);
    let mut output = vec![UNTOUCHED; window.height * stride];
    let mut scratch = Vec::new();
    plan.run(kernels, input, &mut output, stride, &mut scratch);
    assert!(scratch.len() <= plan.scratch_bytes());
    let mut result = Vec::new();
    for line in output.chunks(stride) {
        result.extend_from_slice(&line[..row]);
        assert!(
            line[row..].iter().all(|&byte| byte == UNTOUCHED),
            "{}: written beside the window",
            kernels.name
        );
    }
    result
}

fn check(geometry: &ResizeGeometry) {
    let [height, width] = geometry.input;
    let input = noise((height * 31 + width) as u64, height * width * 3);
    let expected = reference::resize(geometry, &input);
    for kernels in usable() {
        assert!(run(kernels, geometry, &input) == expected, "{}: {geometry:?}", kernels.name);
    }
}

/// A case that Pillow has answered: see `tests/golden/resize/make_resize.py`.
fn golden_cases() -> Vec<(ResizeGeometry, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/resize/cases.txt");
    let text = std::fs::read_to_string(path).expect("the golden cases are in the repository");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let filter = match fields[0] {
                "nearest" => Filter::Nearest,
                "box" => Filter::Box,
                "bilinear" => Filter::Bilinear,
                "hamming" => Filter::Hamming,
                "bicubic" => Filter::Bicubic,
                "lanczos" => Filter::Lanczos,
                other => panic!("filter {other}"),
            };
            let sizes: Vec<usize> = fields[1..5].iter().map(|field| field.parse().expect("a size")).collect();
            let edges: Vec<f32> = fields[5..9].iter().map(|field| field.parse().expect("an edge")).collect();
            let output = [sizes[2], sizes[3]];
            let window = Rect { top: 0, left: 0, height: output[0], width: output[1] };
            let source_box = [edges[0], edges[1], edges[2], edges[3]];
            let geometry = ResizeGeometry::with_box(filter, [sizes[0], sizes[1]], source_box, output, window);
            (geometry.unwrap_or_else(|error| panic!("{line}: {error}")), fields[9].to_owned())
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_golden_case_equals_pillow() {
    let cases = golden_cases();
    assert!(cases.len() >= 500, "{} cases", cases.len());
    let mut differing = Vec::new();
    for (geometry, expected) in &cases {
        let [height, width] = geometry.input;
        let input = noise((height * 31 + width) as u64, height * width * 3);
        if sha256(&reference::resize(geometry, &input)) != *expected {
            differing.push(format!("reference: {geometry:?}"));
        }
        for kernels in usable() {
            if sha256(&run(kernels, geometry, &input)) != *expected {
                differing.push(format!("{}: {geometry:?}", kernels.name));
            }
        }
    }
    let names: Vec<_> = usable().map(|kernels| kernels.name).collect();
    println!("{} cases, reference and {names:?}: {} differ", cases.len(), differing.len());
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

const SIDES: [usize; 12] = [1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64];

#[test]
fn variants_equal_the_reference_for_awkward_sizes() {
    for filter in Filter::ALL {
        for (index, &height) in SIDES.iter().enumerate() {
            for &width in &SIDES {
                let output = [SIDES[(index + 5) % SIDES.len()], SIDES[(width + index) % SIDES.len()]];
                check(&ResizeGeometry::new(filter, [height, width], output).expect("sizes fit"));
            }
        }
    }
}

#[test]
fn a_window_is_a_part_of_the_whole() {
    let input_size = [61, 83];
    let input = noise(7, 61 * 83 * 3);
    for filter in Filter::ALL {
        for output in [[61, 83], [40, 83], [61, 50], [23, 19], [150, 171]] {
            let whole = Rect { top: 0, left: 0, height: output[0], width: output[1] };
            for source_box in [[0.0, 0.0, 83.0, 61.0], [0.5, 3.25, 80.0, 61.0]] {
                let all =
                    ResizeGeometry::with_box(filter, input_size, source_box, output, whole).expect("fits");
                let expected = reference::resize(&all, &input);
                for (top, left, height, width) in [(0, 0, 1, 1), (3, 5, 17, 11), (output[0] - 1, 2, 1, 9)] {
                    let window = Rect { top, left, height, width };
                    let part = ResizeGeometry { window, ..all };
                    let cut: Vec<u8> = (top..top + height)
                        .flat_map(|y| expected[(y * output[1] + left) * 3..][..width * 3].to_vec())
                        .collect();
                    assert!(reference::resize(&part, &input) == cut, "reference: {part:?}");
                    for kernels in usable() {
                        assert!(run(kernels, &part, &input) == cut, "{}: {part:?}", kernels.name);
                    }
                }
            }
        }
    }
}

#[test]
fn sizes_that_cannot_be_are_refused_with_the_numbers() {
    let window = Rect { top: 0, left: 0, height: 2, width: 2 };
    let attempt = |input, source_box, output, window| {
        ResizeGeometry::with_box(Filter::Bilinear, input, source_box, output, window).map(|_| ())
    };
    for (case, expected) in [
        (attempt([0, 4], [0.0, 0.0, 4.0, 0.0], [2, 2], window), "4 x 0"),
        (attempt([4, 4], [0.0, 0.0, 4.0, 4.0], [0, 2], window), "2 x 0"),
        (attempt([4, 4], [0.0, 0.0, 4.5, 4.0], [2, 2], window), "4.5"),
        (attempt([4, 4], [2.0, 0.0, 2.0, 4.0], [2, 2], window), "2.0"),
        (attempt([4, 4], [f32::NAN, 0.0, 2.0, 4.0], [2, 2], window), "NaN"),
        (attempt([4, 4], [0.0, 0.0, 4.0, 4.0], [2, 1], window), "1 x 2"),
    ] {
        let message = case.expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn variants_equal_the_reference(
        filter in prop::sample::select(Filter::ALL.to_vec()),
        input in [1_usize..90, 1_usize..90],
        output in [1_usize..120, 1_usize..120],
        cut in [0.0_f32..0.4, 0.0_f32..0.4, 0.6_f32..1.0, 0.6_f32..1.0],
        part in [0.0_f64..1.0, 0.0_f64..1.0, 0.0_f64..1.0, 0.0_f64..1.0],
    ) {
        let [height, width] = input.map(|side| side as f32);
        let source_box = [cut[0] * width, cut[1] * height, cut[2] * width, cut[3] * height];
        let pick = |share: f64, of: usize| (share * of as f64) as usize;
        let (top, left) = (pick(part[0], output[0]), pick(part[1], output[1]));
        let window = Rect {
            top,
            left,
            height: pick(part[2], output[0] - top).max(1),
            width: pick(part[3], output[1] - left).max(1),
        };
        check(&ResizeGeometry::with_box(filter, input, source_box, output, window).expect("sizes fit"));
    }
}
