//! Names of classes.

/// The class's name, or its index in decimal if the model names none.
pub fn label(labels: &[String], class_index: usize) -> String {
    labels.get(class_index).cloned().unwrap_or_else(|| class_index.to_string())
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn classes_without_a_name_are_numbers() {
        let labels = ["cat".to_string()];
        assert_eq!(label(&labels, 0), "cat");
        assert_eq!(label(&labels, 1), "1");
        assert_eq!(label(&[], 999), "999");
    }
}
