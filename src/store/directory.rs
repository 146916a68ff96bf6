//! The state directory: made if it is missing, held by one Pointsman at a time.
//!
//! Two writers would each believe that their answers are the truth, and `SO_REUSEPORT` would hide
//! the second one; so the directory is locked for as long as the process lives. The kernel lets
//! the lock go with the process, however it ends.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const DATABASE: &str = "state.db";
const LOCK: &str = "lock";

/// Why the state cannot be used. Pointsman does not start on any of these, and touches nothing.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The directory cannot be made, read or written.
    Unusable {
        path: PathBuf,
        why: io::Error,
    },
    /// Another Pointsman holds it.
    InUse {
        path: PathBuf,
        pid: Option<u32>,
    },
    /// Written by a later version.
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    Damaged {
        path: PathBuf,
        why: String,
    },
    /// SQLite does not give the durability that was asked for.
    Weak {
        pragma: &'static str,
        wanted: &'static str,
        found: String,
    },
    /// Reading or writing failed.
    Failed {
        path: PathBuf,
        why: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { path, why } => write!(
                f,
                "the state directory {} cannot be used: {why}. Make it writable for this user, or \
                 name another one with --state-dir",
                path.display()
            ),
            Self::InUse { path, pid } => {
                write!(
                    f,
                    "the state directory {} is in use by another Pointsman",
                    path.display()
                )?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                f.write_str(". Stop that one first, or name another directory with --state-dir")
            }
            Self::Newer { path, found, known } => write!(
                f,
                "the state file {} has format {found}, written by a newer Pointsman; this one \
                 knows formats up to {known}. Run the newer version, or name another directory \
                 with --state-dir",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "the state file {} is damaged: {why}. It was left as it is. To start without it, \
                 move it away together with its -wal and -shm files; then the weights of the \
                 config apply, and live weights have to be set again",
                path.display()
            ),
            Self::Weak {
                pragma,
                wanted,
                found,
            } => write!(
                f,
                "the state file would not be durable: SQLite answers {pragma} = {found} where \
                 {wanted} was asked for. Put the state directory on an ordinary local file system"
            ),
            Self::Failed { path, why } => {
                write!(f, "the state file {} cannot be used: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// A state directory that is ours.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Held, not read: dropping it lets the next Pointsman in.
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// When it cannot be written, or another Pointsman has it.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let unusable = |why| StoreError::Unusable {
            path: path.to_path_buf(),
            why,
        };
        if !path.is_dir() {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(unusable)?;
            if let Some(parent) = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                sync(parent).map_err(unusable)?;
            }
        }
        let lock = take_lock(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Makes names in the directory as durable as what they name.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

fn take_lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let unusable = |why| StoreError::Unusable {
        path: directory.to_path_buf(),
        why,
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Only for the message: a lock without a readable number is a lock all the same.
            let pid = match file.read_to_string(&mut text) {
                Ok(_) => text.trim().parse().ok(),
                Err(_) => None,
            };
            return Err(StoreError::InUse {
                path: directory.to_path_buf(),
                pid,
            });
        }
        Err(TryLockError::Error(why)) => return Err(unusable(why)),
    }
    file.set_len(0).map_err(unusable)?;
    file.rewind().map_err(unusable)?;
    writeln!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(file)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
