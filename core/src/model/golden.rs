//! Images that every program can make from a number, and the answers to them that a model brings along.

use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in a model's folder.
pub const GOLDEN_FILE: &str = "golden.json";

/// How many images there are.
pub const GOLDEN_IMAGES: usize = 2;

const FORMAT: u32 = 1;
const LARGEST_FILE: u64 = 64 << 20;
const LARGEST_TOLERANCE: f32 = 0.1;

/// Answers to golden images, as a device that was trusted gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    tolerance: f32,
    /// By image: outputs by name.
    answers: Vec<Vec<(String, Vec<f32>)>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    /// Largest difference that is none, as a part of the largest value of the output.
    tolerance: f32,
    images: Vec<std::collections::BTreeMap<String, Vec<f32>>>,
}

impl Golden {
    /// Answers by image and output; those found may differ by `tolerance` of the output's largest value. Fails with
    /// `INVALID_ARGUMENT` for a tolerance that is not between 0 and 0.1, or for answers that are not finite.
    pub fn new(tolerance: f32, answers: Vec<Vec<(String, Vec<f32>)>>) -> Result<Self> {
        if !(tolerance > 0.0 && tolerance <= LARGEST_TOLERANCE) {
            let message =
                format!("tolerance: expected more than 0 and at most {LARGEST_TOLERANCE}, found {tolerance}");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let all = answers.iter().flatten();
        if let Some((name, _)) = all.clone().find(|(_, values)| values.iter().any(|x| !x.is_finite())) {
            let message = format!("golden answers: expected finite numbers, output {name:?} has others");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { tolerance, answers })
    }

    /// Reads the file of a model's folder, if there is one. Fails with `CONFIG_INVALID` for what is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(GOLDEN_FILE);
        let invalid =
            |problem: String| Error::new(ErrorKind::ConfigInvalid, format!("{}: {problem}", path.display()));
        match std::fs::metadata(&path) {
            Err(_) => return Ok(None),
            Ok(metadata) if metadata.len() > LARGEST_FILE => {
                let found = metadata.len();
                return Err(invalid(format!("expected at most {LARGEST_FILE} bytes, found {found}")));
            }
            Ok(_) => {}
        }
        let text = std::fs::read(&path).map_err(|error| Error::from_io(&path, error))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        let File { format, tolerance, images } = file;
        if format != FORMAT {
            return Err(invalid(format!("format: expected {FORMAT}, found {format}")));
        }
        let answers = images.into_iter().map(|outputs| outputs.into_iter().collect()).collect();
        Self::new(tolerance, answers).map(Some).map_err(|error| invalid(error.message().into()))
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let images = self.answers.iter().map(|outputs| outputs.iter().cloned().collect()).collect();
        let file = File { format: FORMAT, tolerance: self.tolerance, images };
        // Finite numbers and strings: this does not fail.
        serde_json::to_string(&file).unwrap_or_default() + "\n"
    }

    /// Compares what was found for an image. Outputs of which nothing is stored are not looked at. Fails with
    /// `SELF_TEST_FAILED`.
    pub fn check<'a>(&self, image: usize, found: impl Iterator<Item = (&'a str, &'a [f32])>) -> Result<()> {
        let Some(stored) = self.answers.get(image) else { return Ok(()) };
        for (name, found) in found {
            let Some((_, expected)) = stored.iter().find(|(other, _)| other == name) else { continue };
            let differs = |at: &usize| {
                let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                let difference = (found[*at] - expected[*at]).abs();
                // NaN is never near.
                difference.is_nan() || difference > self.tolerance * largest
            };
            if found.len() != expected.len() {
                let message = format!(
                    "output {name:?} of golden image {image}: expected {} elements as in {GOLDEN_FILE}, found {}",
                    expected.len(),
                    found.len()
                );
                return Err(Error::new(ErrorKind::SelfTestFailed, message));
            }
            if let Some(at) = (0..expected.len()).find(differs) {
                let message = format!(
                    "output {name:?}, element {at}, of golden image {image}: expected {:e} as in {GOLDEN_FILE}, \
                     within {:e} of the largest, found {:e}",
                    expected[at], self.tolerance, found[at]
                );
                return Err(Error::new(ErrorKind::SelfTestFailed, message));
            }
        }
        Ok(())
    }
}

/// Elements of golden image number `image` for input number `input`: from -1.75 to 1.75, as preprocessing makes
/// pictures. Element `i` hashes `i + 2^24 * image + 2^28 * input` with the finaliser of MurmurHash3 (Appleby) and
/// takes the upper 24 bits; only the last product rounds, to the nearest f32.
pub fn golden_image(image: usize, input: usize, elements: usize) -> Vec<f32> {
    let first = ((image as u32) << 24).wrapping_add((input as u32) << 28);
    let element = |at: usize| {
        let mut hash = (at as u32).wrapping_add(first);
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^= hash >> 16;
        ((hash >> 8) as f32 / (1 << 23) as f32 - 1.0) * 1.75
    };
    (0..elements).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_differ_and_lie_around_zero() {
        let [a, b, c] = [golden_image(0, 0, 9999), golden_image(1, 0, 9999), golden_image(0, 1, 9999)];
        assert!(a != b && a != c && b != c);
        let mean = a.iter().sum::<f32>() / 9999.0;
        assert!(mean.abs() < 0.05 && a.iter().all(|x| x.abs() <= 1.75), "{mean}");
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_damage_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Golden::read(folder.path()).expect("none"), None);
        let golden = Golden::new(0.01, vec![vec![("logits".into(), vec![1.5, -2.0])]]).expect("good");
        let path = folder.path().join(GOLDEN_FILE);
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(&golden.to_json());
        assert_eq!(Golden::read(folder.path()).expect("good"), Some(golden.clone()));
        let text = golden.to_json();
        for (from, to) in
            [("\"format\":1", "\"format\":2"), ("0.01", "0.5"), ("0.01", "0"), ("1.5", "x"), ("1.5", "1e39")]
        {
            write(&text.replace(from, to));
            let error = Golden::read(folder.path()).expect_err("damaged");
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{from} {to}");
            assert!(error.message().contains(GOLDEN_FILE), "{error}");
        }
    }

    #[test]
    fn differences_count_beside_the_largest_value() {
        let golden = Golden::new(0.01, vec![vec![("logits".into(), vec![1.0, -2.0])]]).expect("good");
        let check = |image, name, values: &[f32]| golden.check(image, [(name, values)].into_iter());
        assert!(check(0, "logits", &[1.01, -2.0]).is_ok());
        assert!(check(0, "logits", &[1.03, -2.0]).is_err());
        assert!(check(0, "logits", &[f32::NAN, -2.0]).is_err());
        assert!(check(0, "logits", &[1.0]).is_err());
        assert!(check(0, "other", &[9.0]).is_ok() && check(1, "logits", &[9.0]).is_ok());
    }
}
