//! The file that keeps an endpoint's secret: its owner's alone, and whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A place that a secret can be put. ClickFunnels tells a secret once, so whether it can be kept is found out
/// before it is asked for.
pub struct Place {
    path: PathBuf,
    beside: PathBuf,
    file: File,
}

impl Place {
    /// Makes a file beside `path`, with mode 0600, for the secret to be written to.
    ///
    /// # Errors
    /// There is no such folder, or nothing can be written there.
    pub fn prepare(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&beside);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        Ok(Self { path: path.to_owned(), beside, file })
    }

    /// Puts the secret in its place, durably. Whoever reads the file meanwhile reads the old one or the new.
    ///
    /// # Errors
    /// The disk failed; what was there stays.
    pub fn keep(mut self, secret: &str) -> io::Result<()> {
        self.file.write_all(secret.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What was kept is no longer there under this name.
        let _ = fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn entries(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_secret_is_kept_for_its_owner_only_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoint secret");
        fs::write(&path, "of old").unwrap();
        Place::prepare(&path).unwrap().keep("s3cret").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "s3cret\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(entries(folder.path()), ["endpoint secret"]);
    }

    #[test]
    fn a_place_that_is_not_used_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "of old").unwrap();
        drop(Place::prepare(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "of old");
        assert_eq!(entries(folder.path()), ["secret"]);
    }

    #[test]
    fn a_place_where_nothing_can_be_kept_is_told_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        for bad in [folder.path().join("no such folder/secret"), folder.path().to_owned(), "/".into()] {
            assert!(Place::prepare(&bad).is_err(), "{}", bad.display());
        }
    }
}
