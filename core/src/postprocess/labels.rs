//! Names of classes.

use std::fmt::Write;

/// Adds the class's name to `text`, or its index in decimal if the model names none.
pub fn write_label(text: &mut String, labels: &[String], class_index: usize) {
    match labels.get(class_index) {
        Some(label) => text.push_str(label),
        // Writing to a string does not fail.
        None => drop(write!(text, "{class_index}")),
    }
}

#[cfg(test)]
mod tests {
    use super::write_label;

    #[test]
    fn classes_without_a_name_are_numbers() {
        let labels = ["cat".to_string()];
        for (labels, class, expected) in [(&labels[..], 0, "a cat"), (&labels, 1, "a 1"), (&[], 999, "a 999")]
        {
            let mut text = "a ".to_owned();
            write_label(&mut text, labels, class);
            assert_eq!(text, expected);
        }
    }
}
