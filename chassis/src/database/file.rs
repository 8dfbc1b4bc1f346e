//! The SQLite file that was opened, as the file system knows it. A deleted one can still be written
//! to by whoever has it open, and everything in it is lost when the process ends.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path and the file that it led to.
#[derive(Clone)]
pub(super) struct OpenedFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode: no two files that exist, or are open, have both in common.
type Identity = (u64, u64);

impl OpenedFile {
    pub(super) async fn remember(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path).await? })
    }

    /// Fails where the path leads to no file, or to another one.
    pub(super) async fn check(&self) -> io::Result<()> {
        match identity(&self.path).await {
            Ok(found) if found == self.identity => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::other(format!(
                "the database file {} was deleted or replaced while in use",
                self.path.display()
            ))),
        }
    }
}

async fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = tokio::fs::metadata(path).await?;
    Ok((metadata.dev(), metadata.ino()))
}
