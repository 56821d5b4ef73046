//! Lists of labels: text files with one label a line, and maps from class to label.

use super::fields::MAX_LABELS;
use super::{ModelConfig, read_text};
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

/// Names of such files; the first that is there counts.
const LABEL_FILES: [&str; 3] = ["labels.txt", "classes.txt", "imagenet_classes.txt"];

/// Reads the first list of labels in `folder`, which goes before what other files say.
pub(super) fn read(folder: &Path, config: &mut ModelConfig) -> Result<()> {
    for file in LABEL_FILES {
        if let Some(text) = read_text(folder, file)? {
            let labels: Vec<String> = lines(&text).take(MAX_LABELS + 1).map(String::from).collect();
            if labels.len() > MAX_LABELS {
                return Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    format!("{file}: more labels than the limit of {MAX_LABELS}"),
                ));
            }
            config.labels = Some((labels, file.into()));
            config.notes.push(format!("labels from {file}"));
            return Ok(());
        }
    }
    Ok(())
}

/// One label a line; empty lines at the end do not count.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).trim_end().lines().map(str::trim)
}

/// Labels in order of their class from a map of class to label; the error says which class is at fault.
pub(super) fn in_order(entries: Vec<(String, String)>) -> std::result::Result<Vec<String>, String> {
    let count = entries.len();
    let mut labels: Vec<Option<String>> = vec![None; count];
    for (class, label) in entries {
        // Only the plain decimal form, so that "01" is not a second way to say "1".
        let index = class.parse().ok().filter(|index: &usize| index.to_string() == class);
        let place = index.and_then(|index| labels.get_mut(index));
        match place {
            Some(place @ None) => *place = Some(label),
            Some(Some(_)) => {
                return Err(format!("classes 0 to {}, each once, and {class:?} is there twice", count - 1));
            }
            None => return Err(format!("classes 0 to {}, each once, and {class:?} is not one", count - 1)),
        }
    }
    // Every place was filled once, as there are as many entries as places.
    Ok(labels.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_kind() {
        let all = |text: &str| lines(text).map(String::from).collect::<Vec<_>>();
        assert_eq!(all("\u{feff}cat\r\ndog \r\n\r\n\n"), ["cat", "dog"]);
        assert_eq!(all("cat\n\ndog"), ["cat", "", "dog"]);
        assert!(all("").is_empty());
    }

    #[test]
    fn gaps_and_doubles_are_errors() {
        let entries = |classes: &[&str]| {
            classes.iter().map(|class| (class.to_string(), format!("label {class}"))).collect::<Vec<_>>()
        };
        assert_eq!(in_order(entries(&["1", "0"])).unwrap(), ["label 0", "label 1"]);
        for wrong in [&["0", "2"][..], &["0", "0"], &["-1"], &["a"], &["0", "01"]] {
            assert!(in_order(entries(wrong)).is_err(), "{wrong:?}");
        }
    }
}
