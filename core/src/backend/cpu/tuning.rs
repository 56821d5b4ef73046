//! Which algorithm computes which convolution, as it was measured on request: a small file for people too.

use crate::error::{Error, ErrorKind, Result};
use crate::memory::{ReadOptions, read_file};
use libvision_kernels::cpu::conv2d::{Conv2d, ConvAlgorithm};
use libvision_kernels::geometry::{Conv2dGeometry, Padding, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The only version of the format so far.
const VERSION: u32 = 1;
/// Some hundred bytes a convolution: a larger file is something else.
const MAX_BYTES: u64 = 4 << 20;

/// An algorithm for each convolution of a model, for one instruction set. Made by
/// [`Model::tune`](crate::Model::tune).
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The model it was made for.
    pub model: String,
    /// The processor it was made on.
    pub processor: String,
    /// The kernels that were measured: `avx2`, `avx512`, `neon` or `portable`.
    pub isa: String,
    /// Images of the runs that were measured.
    pub batch: usize,
    /// Threads of the runs that were measured.
    pub threads: usize,
    /// One entry for each size.
    pub choices: Vec<TunedConv2d>,
}

/// What was measured of the convolutions of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedConv2d {
    /// The size.
    pub geometry: Conv2dGeometry,
    /// The algorithm to use.
    pub algorithm: ConvAlgorithm,
    /// Microseconds that all convolutions of this size took together, by the name of the algorithm.
    pub microseconds: BTreeMap<String, f64>,
}

impl Tuning {
    /// Reads a file. Fails with `TUNING_MISMATCH` if it is none, or of another version.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = read_file(path, ReadOptions { memory_map: false, max_bytes: MAX_BYTES });
        let bytes = read.map_err(|error| match error.kind() {
            ErrorKind::ModelTooLarge => {
                mismatch(format!("{}: over {MAX_BYTES} bytes, which no tuning file has", path.display()))
            }
            _ => error,
        })?;
        Self::from_json(&bytes).map_err(|error| error.context(path.display()))
    }

    /// From the contents of a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| mismatch(format!("expected a tuning file: {error}")))?;
        if file.version != VERSION {
            return Err(mismatch(format!("version: expected {VERSION}, found {}", file.version)));
        }
        let File { model, processor, isa, batch, threads, convolutions, .. } = file;
        let choices = convolutions.into_iter().enumerate();
        let choices = choices.map(|(index, line)| {
            line.checked().map_err(|error| error.context(format_args!("convolutions[{index}]")))
        });
        Ok(Self { model, processor, isa, batch, threads, choices: choices.collect::<Result<_>>()? })
    }

    /// The contents of a file: JSON, a line for each convolution.
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\n");
        let mut field = |name: &str, value: serde_json::Value| text += &format!("  {name:?}: {value},\n");
        field("version", VERSION.into());
        field("model", self.model.as_str().into());
        field("processor", self.processor.as_str().into());
        field("isa", self.isa.as_str().into());
        field("batch", self.batch.into());
        field("threads", self.threads.into());
        // Numbers, names and maps of both: writing them to a string does not fail.
        let lines = self.choices.iter().map(|choice| serde_json::to_string(&Line::of(choice)));
        let lines: Vec<String> = lines.map(|line| line.unwrap_or_default()).collect();
        text + &format!("  \"convolutions\": [\n    {}\n  ]\n}}\n", lines.join(",\n    "))
    }

    /// Fails with `TUNING_MISMATCH` if it was made for other kernels.
    pub(super) fn check_isa(&self, isa: &str) -> Result<()> {
        if self.isa == isa {
            return Ok(());
        }
        Err(mismatch(format!(
            "isa: this process computes with {isa} kernels, and the tuning was made for {:?} (on {}); \
             make one with `vision tune` where it is used",
            self.isa, self.processor
        )))
    }

    /// The algorithm for this size.
    pub(super) fn algorithm(&self, geometry: &Conv2dGeometry) -> Option<ConvAlgorithm> {
        self.choices.iter().find(|choice| choice.geometry == *geometry).map(|choice| choice.algorithm)
    }

    /// Fails with `TUNING_MISMATCH` if this size has a choice of algorithms, and the tuning has no entry for it
    /// or one that cannot compute it.
    pub(super) fn check_size(&self, geometry: &Conv2dGeometry) -> Result<()> {
        let candidates = Conv2d::candidates(geometry, false);
        match self.algorithm(geometry) {
            None if candidates.is_empty() => Ok(()),
            Some(algorithm) if candidates.contains(&algorithm) => Ok(()),
            None => Err(mismatch(format!(
                "the tuning made for model {:?} has no convolution of this size ({}); make one for this model \
                 with `vision tune`",
                self.model,
                show(geometry)
            ))),
            Some(algorithm) => {
                let names: Vec<&str> = candidates.into_iter().map(ConvAlgorithm::name).collect();
                Err(mismatch(format!(
                    "the tuning says {:?} for {}; expected one of [{}], which can compute it",
                    algorithm.name(),
                    show(geometry),
                    names.join(", ")
                )))
            }
        }
    }
}

fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::TuningMismatch, message)
}

/// `64x56x56 to 128x28x28, 3x3 stride 2x2`
fn show(g: &Conv2dGeometry) -> String {
    let Conv2dGeometry { in_channels, out_channels, groups, window, input, output } = g;
    let Window { size, stride, dilation, padding } = window;
    let Padding { top, left, bottom, right } = padding;
    let pair = |[a, b]: &[usize; 2]| format!("{a}x{b}");
    format!(
        "{in_channels}x{} to {out_channels}x{}, groups {groups}, window {}, stride {}, dilation {}, border \
         {top},{left},{bottom},{right}",
        pair(input),
        pair(output),
        pair(size),
        pair(stride),
        pair(dilation)
    )
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    model: String,
    processor: String,
    isa: String,
    batch: usize,
    threads: usize,
    convolutions: Vec<Line>,
}

/// A convolution in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    in_channels: usize,
    out_channels: usize,
    groups: usize,
    input: [usize; 2],
    window: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Top, left, bottom, right.
    border: [usize; 4],
    algorithm: String,
    #[serde(default)]
    microseconds: BTreeMap<String, f64>,
}

impl Line {
    fn of(choice: &TunedConv2d) -> Self {
        let Conv2dGeometry { in_channels, out_channels, groups, window, input, .. } = choice.geometry;
        let Padding { top, left, bottom, right } = window.padding;
        Self {
            in_channels,
            out_channels,
            groups,
            input,
            window: window.size,
            stride: window.stride,
            dilation: window.dilation,
            border: [top, left, bottom, right],
            algorithm: choice.algorithm.name().into(),
            microseconds: choice.microseconds.clone(),
        }
    }

    fn checked(self) -> Result<TunedConv2d> {
        let [top, left, bottom, right] = self.border;
        let padding = Padding { top, left, bottom, right };
        let window = Window { size: self.window, stride: self.stride, dilation: self.dilation, padding };
        let geometry =
            Conv2dGeometry::new(self.in_channels, self.out_channels, self.groups, window, self.input)
                .map_err(|error| mismatch(error.to_string()))?;
        let Some(algorithm) = ConvAlgorithm::by_name(&self.algorithm) else {
            let names = ConvAlgorithm::ALL.map(ConvAlgorithm::name).join(", ");
            return Err(mismatch(format!("algorithm: expected one of {names}, found {:?}", self.algorithm)));
        };
        Ok(TunedConv2d { geometry, algorithm, microseconds: self.microseconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning() -> Tuning {
        let window =
            Window { padding: Padding { top: 1, left: 0, bottom: 2, right: 1 }, ..Window::square(3, 1, 0) };
        let geometry = Conv2dGeometry::new(4, 6, 1, window, [9, 8]).expect("geometry");
        Tuning {
            model: "a \"net\"\n".into(),
            processor: "P".into(),
            isa: "avx2".into(),
            batch: 8,
            threads: 2,
            choices: vec![TunedConv2d {
                geometry,
                algorithm: ConvAlgorithm::WinogradF2,
                microseconds: [("direct".into(), 12.5), ("winograd f2x2".into(), 10.25)].into(),
            }],
        }
    }

    #[test]
    fn a_file_says_what_was_written_a_line_for_each() {
        let json = tuning().to_json();
        assert_eq!(Tuning::from_json(json.as_bytes()).expect("our own"), tuning());
        let lines: Vec<&str> = json.lines().filter(|line| line.contains("winograd f2x2")).collect();
        assert_eq!(lines.len(), 1, "{json}");
        assert!(json.contains("\"border\":[1,0,2,1]"), "{json}");
        let empty = Tuning { choices: vec![], ..tuning() };
        assert_eq!(Tuning::from_json(empty.to_json().as_bytes()).expect("our own"), empty);
    }

    #[test]
    fn what_is_no_tuning_is_refused_by_name() {
        let json = tuning().to_json();
        for (from, to, expected) in [
            ("\"version\": 1", "\"version\": 2", "version: expected 1, found 2"),
            (
                "winograd f2x2\",",
                "fft\",",
                "convolutions[0]: algorithm: expected one of direct, winograd f2x2",
            ),
            ("\"in_channels\":4", "\"in_channels\":0", "convolutions[0]: 0 input channels"),
            ("\"stride\":[1,1]", "\"stride\":[0,1]", "convolutions[0]: window size"),
            ("\"isa\"", "\"iso\"", "iso"),
            ("\"groups\":1,", "", "groups"),
            ("{", "[", "expected a tuning file"),
        ] {
            assert!(json.contains(from), "{from} in {json}");
            let error = Tuning::from_json(json.replacen(from, to, 1).as_bytes()).expect_err(to);
            assert_eq!(error.kind(), ErrorKind::TuningMismatch, "{error}");
            assert!(error.message().contains(expected), "{expected} in {error}");
        }
    }

    #[test]
    fn sizes_are_looked_up_exactly() {
        let tuning = tuning();
        let known = tuning.choices[0].geometry;
        tuning.check_size(&known).expect("it is there");
        assert_eq!(tuning.algorithm(&known), Some(ConvAlgorithm::WinogradF2));
        let other = Conv2dGeometry { in_channels: 5, ..known };
        let error = tuning.check_size(&other).expect_err("not there");
        assert_eq!(error.kind(), ErrorKind::TuningMismatch);
        assert!(
            error.message().contains("5x9x8 to 6x") && error.message().contains("vision tune"),
            "{error}"
        );
        let without_choice = Conv2dGeometry { window: Window::square(1, 1, 0), ..known };
        tuning.check_size(&without_choice).expect("nothing to choose");
        let wrong = TunedConv2d { algorithm: ConvAlgorithm::WinogradF4Stride2, ..tuning.choices[0].clone() };
        let error = Tuning { choices: vec![wrong], ..tuning }.check_size(&known).expect_err("stride 1");
        assert!(
            error.message().contains("expected one of [direct, winograd f2x2, winograd f4x4,"),
            "{error}"
        );
    }

    #[test]
    fn other_kernels_are_refused() {
        tuning().check_isa("avx2").expect("made for these");
        let error = tuning().check_isa("avx512").expect_err("others");
        assert_eq!(error.kind(), ErrorKind::TuningMismatch);
        assert!(error.message().contains("avx512") && error.message().contains("avx2"), "{error}");
    }
}
