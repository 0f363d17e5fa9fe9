//! Company: whether another worker may be running beside this one, on the same store.
//!
//! Alone, whatever comes twice comes twice to this very process, which knows what it has in hand. In company, a
//! message that the broker has delivered before may still be in another's hands. Each worker on a store in a file
//! holds the lock of a file of its own, in a folder beside it. The kernel lets go of it with the process, however
//! that ends, so nobody waits for one who died.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Who else may be there.
pub struct Company {
    /// The folder and our own file in it, which is locked; none where nobody can know.
    place: Option<(PathBuf, PathBuf, File)>,
}

impl Company {
    /// Joins those who work on the store in this file.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn join(store: &Path) -> io::Result<Self> {
        // By whatever way it is reached, it is one store: those who go through a link are in company as well.
        let store = &store.canonicalize().unwrap_or_else(|_| store.to_owned());
        let mut name = store.file_name().unwrap_or_default().to_owned();
        name.push("-workers");
        let folder = store.with_file_name(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        loop {
            let own = folder.join(Uuid::new_v4().to_string());
            let file = File::options().create_new(true).write(true).mode(0o600).open(&own)?;
            file.lock()?;
            // Between making it and locking it somebody may have taken it for a dead worker's.
            if std::fs::metadata(&own)
                .is_ok_and(|found| file.metadata().is_ok_and(|f| f.ino() == found.ino()))
            {
                return Ok(Self { place: Some((folder, own, file)) });
            }
        }
    }

    /// Where nobody can know: others may be on other machines.
    pub fn unknown() -> Self {
        Self { place: None }
    }

    /// Whether no other worker is running now. What dead ones left is removed.
    pub fn is_alone(&self) -> bool {
        let Some((folder, own, _)) = &self.place else { return false };
        let Ok(files) = std::fs::read_dir(folder) else { return false };
        files
            .map_while(Result::ok)
            .map(|file| file.path())
            .filter(|path| path != own)
            .all(|path| is_dead(&path))
    }
}

/// Whether whoever made this file is gone.
fn is_dead(path: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(path) else { return !path.exists() };
    match file.try_lock() {
        Ok(()) => {
            // An error means that somebody else has removed it.
            let _ = std::fs::remove_file(path);
            true
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        if let Some((_, own, _)) = &self.place {
            let _ = std::fs::remove_file(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_alone_until_another_joins_and_again_when_that_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("carom.db");
        std::fs::write(&store, "").unwrap();
        let first = Company::join(&store).unwrap();
        assert!(first.is_alone());
        let second = Company::join(&store).unwrap();
        assert!(!first.is_alone() && !second.is_alone());
        drop(second);
        assert!(first.is_alone());
        // One that was killed leaves its file, and no lock.
        let left = folder.path().join("carom.db-workers/left");
        std::fs::write(&left, "").unwrap();
        assert!(first.is_alone() && !left.exists());
        assert!(!Company::unknown().is_alone());
        // One that reaches the same store by a link.
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&store, &link).unwrap();
        let second = Company::join(&link).unwrap();
        assert!(!first.is_alone() && !second.is_alone());
    }
}
