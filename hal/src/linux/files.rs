//! The state directory: whole files or none, and one owner.

use crate::board::{StoreError, StoreFile};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why the state directory can't be used.
#[derive(Debug)]
pub enum LockError {
    /// Another instance holds it; its process id, when known.
    Held {
        /// The directory.
        directory: PathBuf,
        /// Who holds it.
        by: String,
    },
    /// It can't be made or written.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { directory, by } => write!(
                f,
                "another wanctl (process {by}) uses the state directory {}; stop it first, or give this one its own \
                 [state] directory",
                directory.display()
            ),
            Self::Io(path, error) => write!(
                f,
                "{}: {error}; create it, make it writable for this user, or set [state] directory",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LockError {}

/// The directory, locked for as long as this lives. The lock is the kernel's, so that nothing
/// stale stays behind when the process dies.
#[derive(Debug)]
pub struct StateDirectory {
    directory: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn open(directory: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io(directory.to_owned(), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        let path = directory.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = lock.read_to_string(&mut by);
                let by = if by.trim().is_empty() { "unknown".to_owned() } else { by.trim().to_owned() };
                return Err(LockError::Held { directory: directory.to_owned(), by });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        hand_over(directory, &lock);
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// Gives the directory, and what is in it, to another user. Only when nothing but our files is in
    /// it: anybody's directory may have been named by mistake.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn give_to(&self, user: super::process::User) -> Result<(), LockError> {
        let give = |path: &Path| std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid));
        let ours = |name: &str| {
            let name = name.strip_suffix(".new").unwrap_or(name);
            name == "lock"
                || [StoreFile::StateA, StoreFile::StateB, StoreFile::Originals].iter().any(|f| f.name() == name)
        };
        let all = || -> io::Result<()> {
            let entries = fs::read_dir(&self.directory)?.collect::<io::Result<Vec<_>>>()?;
            if let Some(other) = entries.iter().find(|e| !e.file_name().to_str().is_some_and(ours)) {
                let text = format!("holds {:?}, which is not ours", other.file_name());
                return Err(io::Error::other(text));
            }
            entries.iter().try_for_each(|entry| give(&entry.path()))?;
            give(&self.directory)
        };
        all().map_err(|error| LockError::Io(self.directory.clone(), error))
    }

    /// See [`crate::Board::load`].
    pub(super) fn load(&self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let mut reader = File::open(self.directory.join(file.name())).map_err(|e| errno(&e))?;
        let mut length = 0;
        loop {
            match reader.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        if length == buffer.len() && reader.read(&mut [0]).is_ok_and(|more| more > 0) {
            return Err(StoreError::Os(libc::EFBIG));
        }
        Ok(length)
    }

    /// See [`crate::Board::store`].
    pub(super) fn store(&self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let path = self.directory.join(file.name());
        let temporary = self.directory.join(format!("{}.new", file.name()));
        let write = || -> io::Result<()> {
            let mut writer = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            hand_over(&self.directory, &writer);
            writer.write_all(bytes)?;
            if durable {
                writer.sync_all()?;
            }
            fs::rename(&temporary, &path)?;
            if durable {
                File::open(&self.directory)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error| errno(&error))
    }
}

/// A file made by root in somebody's directory is theirs: the daemon that runs as that user must be able
/// to read what a command of root has left. Whoever is not root can't, and needs not.
fn hand_over(directory: &Path, file: &File) {
    if let Ok(owner) = fs::metadata(directory) {
        let _ = std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}

fn errno(error: &io::Error) -> StoreError {
    match error.raw_os_error() {
        Some(libc::ENOENT) => StoreError::NotFound,
        number => StoreError::Os(number.unwrap_or(libc::EIO)),
    }
}
