//! Files in one folder: replaced as a whole, and on disk before anyone hears of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Most bytes of a file that is read: two notes, and what stands between them.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a file is called until it is whole.
const NEW: &str = ".new";

/// A folder. The steps are apart so that a test can stop between any two of them.
pub trait Folder: Send + Sync {
    /// The bytes of a file; none if it is not there.
    ///
    /// # Errors
    /// If it cannot be read, or is longer than [`FILE_BYTES_MAX`].
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names of all files, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Writes a file, in place of one that is there. When this answers, its bytes are on disk; its name need not be.
    ///
    /// # Errors
    /// If it cannot be written, or the disk does not say that it was.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in place of the one that has it. The change need not be on disk yet.
    ///
    /// # Errors
    /// If it cannot be done.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Waits until the folder's names are on disk.
    ///
    /// # Errors
    /// If the disk does not say so.
    fn sync_names(&self) -> io::Result<()>;
}

/// Replaces a file as a whole. When this answers, it is on disk; whenever it is interrupted, the old or the new file is
/// there.
///
/// # Errors
/// Of any step. Nobody knows then which of the two the disk holds.
pub fn replace(folder: &dyn Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}{NEW}");
    folder.write(&new, bytes)?;
    folder.rename(&new, name)?;
    folder.sync_names()
}

/// Whether a name is that of a file that is not whole.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    name.ends_with(NEW)
}

/// A folder on a disk.
#[derive(Clone, Debug)]
pub struct OsFolder {
    path: PathBuf,
}

impl OsFolder {
    /// A folder that is there, or is made, for its owner alone.
    ///
    /// # Errors
    /// If it cannot be made, or its name cannot be brought to disk.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if let Some(parent) = path.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()?;
        }
        Ok(Self::at(path))
    }

    /// A folder that is there already.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Folder for OsFolder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let length = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if length as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("{name} is longer than {FILE_BYTES_MAX} bytes"),
            ));
        }
        Ok(Some(bytes))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(self.path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StateError, WitnessLock};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("above/records");
        let folder = OsFolder::create(&path).unwrap();
        assert_eq!(folder.read("a").unwrap(), None);
        // What an interrupted run left is in nobody's way.
        fs::write(path.join("a.new"), "something longer, left behind").unwrap();
        for text in ["one", "two"] {
            replace(&folder, "a", text.as_bytes()).unwrap();
            assert_eq!(folder.read("a").unwrap().unwrap(), text.as_bytes());
            assert_eq!(folder.names().unwrap(), ["a"]);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
        assert_eq!((mode(&path), mode(&path.join("a"))), (0, 0));
        fs::write(path.join("long"), vec![0; 1024 * 1024 + 1]).unwrap();
        assert_eq!(folder.read("long").unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = WitnessLock::take(dir.path()).unwrap();
        assert!(matches!(WitnessLock::take(dir.path()), Err(StateError::Locked(_))));
        drop(lock);
        WitnessLock::take(dir.path()).unwrap();
        assert!(matches!(WitnessLock::take(&dir.path().join("none")), Err(StateError::Io { .. })));
    }
}
