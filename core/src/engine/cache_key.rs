//! What decides an answer, as 256 bits.

use super::cache::Key;
use super::hand_over::Input;
use super::request::{RequestOptions, Task};
use crate::image::ImageSource;
use sha2::{Digest, Sha256};

/// The key of a request, if it has one: a file that is opened later, and tensors, have none.
pub(super) fn key_of(input: &Input, options: &RequestOptions) -> Option<Key> {
    let mut hash = Sha256::new();
    match input {
        Input::Image(ImageSource::Encoded(bytes)) => {
            hash.update(b"encoded");
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        Input::Image(ImageSource::Pixels(raw)) => {
            hash.update(b"pixels");
            for number in [raw.width as u64, raw.height as u64, raw.row_stride as u64] {
                hash.update(number.to_le_bytes());
            }
            hash.update((raw.format.channels() as u64).to_le_bytes());
            hash.update((raw.data.len() as u64).to_le_bytes());
            hash.update(&raw.data);
        }
        Input::Image(ImageSource::Path(_)) | Input::Tensors(_) => return None,
    }
    match options.task {
        Task::Classify { top_k, min_score } => {
            hash.update(b"classify");
            hash.update((top_k as u64).to_le_bytes());
            hash.update(min_score.to_bits().to_le_bytes());
        }
        Task::Embed => hash.update(b"embed"),
        Task::Run => hash.update(b"run"),
    }
    Some(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{PixelFormat, RawPixels};

    #[test]
    fn whatever_decides_the_answer_decides_the_key() {
        let encoded = |bytes: &[u8]| Input::Image(ImageSource::Encoded(bytes.to_vec().into()));
        let pixels = |width, height, format| {
            let data = vec![7; 48].into();
            Input::Image(ImageSource::Pixels(RawPixels { width, height, format, row_stride: 12, data }))
        };
        let task = |task| RequestOptions { task, ..RequestOptions::default() };
        let classify = |top_k, min_score| task(Task::Classify { top_k, min_score });
        let keys = [
            key_of(&encoded(b"ab"), &classify(5, 0.0)),
            key_of(&encoded(b"ab"), &classify(4, 0.0)),
            key_of(&encoded(b"ab"), &classify(5, 0.5)),
            key_of(&encoded(b"ab"), &task(Task::Run)),
            key_of(&encoded(b"ab"), &task(Task::Embed)),
            key_of(&encoded(b"a"), &classify(5, 0.0)),
            key_of(&pixels(4, 4, PixelFormat::Rgb), &classify(5, 0.0)),
            key_of(&pixels(4, 4, PixelFormat::Rgba), &classify(5, 0.0)),
            key_of(&pixels(4, 3, PixelFormat::Rgb), &classify(5, 0.0)),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(key.is_some() && !keys[..at].contains(key), "{at}");
        }
        let urgent = RequestOptions { deadline: Some(std::time::Duration::ZERO), ..classify(5, 0.0) };
        assert_eq!(key_of(&encoded(b"ab"), &urgent), keys[0]);
        assert_eq!(key_of(&Input::Image(ImageSource::Path("ab".into())), &classify(5, 0.0)), None);
        assert_eq!(key_of(&Input::Tensors(Default::default()), &classify(5, 0.0)), None);
    }
}
