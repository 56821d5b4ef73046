//! Files as bytes: mapped into memory or read, never over a limit, and only regular files.

use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How a file becomes bytes.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Map the file instead of copying it. It must not be cut short while the bytes are in use: reading
    /// past its new end would kill the process (SIGBUS). Right for local files that are replaced by
    /// renaming, not for files on a network that others write.
    pub memory_map: bool,
    /// A larger file is refused before anything is read.
    pub max_bytes: u64,
}

/// A file that was mapped, kept open to see whether somebody has changed it since.
pub struct MappedFile {
    path: PathBuf,
    file: File,
    size: u64,
    modified: Option<SystemTime>,
    bytes: Bytes,
}

impl MappedFile {
    /// Maps the file at `path`, whatever `options.memory_map` says. Fails as [`read_file`] does.
    pub fn open(path: &Path, options: ReadOptions) -> Result<Self> {
        let file = open_regular(path)?;
        let bytes = read_opened(&file, path, ReadOptions { memory_map: true, ..options })?;
        let metadata = file.metadata().map_err(|error| Error::from_io(path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            size: bytes.len() as u64,
            modified: metadata.modified().ok(),
            file,
            bytes,
        })
    }

    /// The whole file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether `part` is a slice of [`bytes`](Self::bytes).
    pub fn holds(&self, part: &Bytes) -> bool {
        let whole = self.bytes.as_ptr_range();
        let part = part.as_ptr_range();
        whole.start <= part.start && part.end <= whole.end
    }

    /// Fails with `FILE_UNREADABLE` if the file was written or cut since it was mapped: then its bytes are no
    /// longer what was checked, and reading them could kill the process. To be asked right before they are read.
    pub fn check_unchanged(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|error| Error::from_io(&self.path, error))?;
        if metadata.len() == self.size && metadata.modified().ok() == self.modified {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::FileUnreadable,
            format!(
                "{}: expected the file as it was when it was loaded, {} bytes, found it changed, {} bytes; load it again, \
                 replace files by renaming, or load without memory_map",
                self.path.display(),
                self.size,
                metadata.len()
            ),
        ))
    }
}

impl std::fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.size)
    }
}

/// The bytes of the file at `path`. Fails with `FILE_NOT_FOUND`, `FILE_UNREADABLE`, or `MODEL_TOO_LARGE`
/// for a file over the limit.
pub fn read_file(path: &Path, options: ReadOptions) -> Result<Bytes> {
    read_opened(&open_regular(path)?, path, options)
}

fn open_regular(path: &Path) -> Result<File> {
    // Opening a pipe would wait for its other end, so the kind is looked at before.
    let metadata = std::fs::metadata(path).map_err(|error| Error::from_io(path, error))?;
    if !metadata.is_file() {
        return Err(not_a_file(path));
    }
    File::open(path).map_err(|error| Error::from_io(path, error))
}

/// The same for the file `name` in `folder`, which must not be a symbolic link. `name` must be a plain
/// file name.
pub(crate) fn read_file_beside(folder: &Path, name: &str, options: ReadOptions) -> Result<Bytes> {
    let path = folder.join(name);
    let file = open_without_following(&path).map_err(|error| Error::from_io(&path, error))?;
    read_opened(&file, &path, options)
}

#[cfg(unix)]
fn open_without_following(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // O_NONBLOCK so that a pipe in the file's place is opened, seen to be none, and refused.
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open_without_following(path: &Path) -> std::io::Result<File> {
    if std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(std::io::Error::other("it is a symbolic link"));
    }
    File::open(path)
}

fn read_opened(file: &File, path: &Path, options: ReadOptions) -> Result<Bytes> {
    let metadata = file.metadata().map_err(|error| Error::from_io(path, error))?;
    if !metadata.is_file() {
        return Err(not_a_file(path));
    }
    let size = metadata.len();
    if size > options.max_bytes {
        return Err(Error::new(
            ErrorKind::ModelTooLarge,
            format!("{}: {size} bytes are over max_file_bytes, {}", path.display(), options.max_bytes),
        ));
    }
    if size == 0 {
        return Ok(Bytes::new());
    }
    if options.memory_map {
        // SAFETY: the map is private and read-only, and `Bytes` keeps it alive as long as a slice of it.
        // That nobody cuts the file meanwhile is what `ReadOptions::memory_map` asks of the caller.
        let map = unsafe { memmap2::Mmap::map(file) }.map_err(|error| Error::from_io(path, error))?;
        return Ok(Bytes::from_owner(map));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX)).map_err(|error| {
        Error::new(ErrorKind::OutOfMemory, format!("{}: no memory for {size} bytes", path.display()))
            .with_source(error)
    })?;
    let mut reader = file.take(options.max_bytes);
    reader.read_to_end(&mut bytes).map_err(|error| Error::from_io(path, error))?;
    Ok(bytes.into())
}

fn not_a_file(path: &Path) -> Error {
    Error::new(ErrorKind::FileUnreadable, format!("{}: it is not a regular file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [true, false];

    #[test]
    fn mapped_and_read_bytes_agree() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("weights");
        for content in [&b""[..], b"x", &[7; 5000]] {
            std::fs::write(&path, content)?;
            for memory_map in BOTH {
                let options = ReadOptions { memory_map, max_bytes: 5000 };
                assert_eq!(read_file(&path, options)?, content);
                assert_eq!(read_file_beside(folder.path(), "weights", options)?, content);
            }
        }
        Ok(())
    }

    #[test]
    fn a_file_over_the_limit_is_refused() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("weights");
        std::fs::write(&path, [0; 11])?;
        for memory_map in BOTH {
            let error = read_file(&path, ReadOptions { memory_map, max_bytes: 10 }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ModelTooLarge);
            assert!(error.message().contains("11 bytes") && error.message().contains("10"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_mapped_file_knows_its_parts_and_whether_it_was_changed()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("weights");
        let map = |content: &[u8]| {
            std::fs::write(&path, content)?;
            MappedFile::open(&path, ReadOptions { memory_map: false, max_bytes: 5000 })
                .map_err(std::io::Error::other)
        };
        let file = map(&[7; 5000])?;
        assert_eq!(file.bytes(), &[7; 5000][..]);
        assert!(file.holds(&file.bytes().slice(10..20)) && !file.holds(&Bytes::from(vec![7; 10])));
        file.check_unchanged()?;

        // A rename leaves the mapped file as it is.
        std::fs::write(folder.path().join("new"), "other")?;
        std::fs::rename(folder.path().join("new"), &path)?;
        file.check_unchanged()?;

        let cut = map(&[7; 100])?;
        std::fs::OpenOptions::new().write(true).open(&path)?.set_len(99)?;
        let error = cut.check_unchanged().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileUnreadable);
        assert!(error.message().contains("100 bytes") && error.message().contains("99"), "{error}");

        let touched = map(&[7; 100])?;
        let long_ago = SystemTime::UNIX_EPOCH;
        std::fs::OpenOptions::new().write(true).open(&path)?.set_modified(long_ago)?;
        assert_eq!(touched.check_unchanged().unwrap_err().kind(), ErrorKind::FileUnreadable);
        Ok(())
    }

    #[test]
    fn folders_and_missing_files_are_told_apart() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let options = ReadOptions { memory_map: true, max_bytes: 10 };
        let kind = |path: &Path| read_file(path, options).unwrap_err().kind();
        assert_eq!(kind(folder.path()), ErrorKind::FileUnreadable);
        assert_eq!(kind(&folder.path().join("none")), ErrorKind::FileNotFound);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_not_followed() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("weights"), "x")?;
        std::os::unix::fs::symlink("weights", folder.path().join("link"))?;
        let options = ReadOptions { memory_map: true, max_bytes: 10 };
        let error = read_file_beside(folder.path(), "link", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileUnreadable);
        assert!(read_file(&folder.path().join("link"), options).is_ok());
        Ok(())
    }
}
