//! The pictures a person names: files, folders, standard input.

use anyhow::Context;
use libvision::ImageSource;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One picture to classify and the name it is reported under.
pub struct NamedImage {
    pub name: String,
    pub source: ImageSource,
}

const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "jpe"];

/// Files as they are, folders as the pictures directly in them (by extension, sorted by name), `-` as
/// the bytes on standard input, of which no more than `max_stdin_bytes + 1` are read.
pub fn expand(paths: &[PathBuf], max_stdin_bytes: usize) -> anyhow::Result<Vec<NamedImage>> {
    let mut images = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .take(max_stdin_bytes as u64 + 1)
                .read_to_end(&mut bytes)
                .context("standard input")?;
            images.push(NamedImage { name: "-".into(), source: ImageSource::Encoded(bytes.into()) });
        } else if path.is_dir() {
            let found = pictures_in(path)?;
            anyhow::ensure!(
                !found.is_empty(),
                "{}: no pictures in this folder (looked for .{})",
                path.display(),
                EXTENSIONS.join(", .")
            );
            images.extend(found.into_iter().map(from_path));
        } else {
            images.push(from_path(path.clone()));
        }
    }
    Ok(images)
}

fn from_path(path: PathBuf) -> NamedImage {
    NamedImage { name: path.display().to_string(), source: ImageSource::Path(path) }
}

fn pictures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && EXTENSIONS.contains(&extension.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_pictures_sorted_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("vision-images-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inner.png")).unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", "c"] {
            std::fs::write(folder.join(name), b"").unwrap();
        }
        let names: Vec<String> =
            expand(std::slice::from_ref(&folder), 0).unwrap().into_iter().map(|image| image.name).collect();
        std::fs::remove_dir_all(&folder).unwrap();
        let expected: Vec<String> = ["a.png", "b.JPG"].map(|n| folder.join(n).display().to_string()).into();
        assert_eq!(names, expected);
    }

    #[test]
    fn an_empty_folder_is_an_error_that_names_it() {
        let folder = std::env::temp_dir().join(format!("vision-empty-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let error = expand(std::slice::from_ref(&folder), 0).err().unwrap().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains(&folder.display().to_string()), "{error}");
    }
}
