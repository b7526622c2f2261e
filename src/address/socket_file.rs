//! The file of a Unix domain socket. A file that a dead server left is replaced; the own file is removed at the end.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Mode of the file. Owner and group may connect, which requires permission to write.
const MODE: u32 = 0o660;

/// The file of a bound socket. It is removed when this is dropped, unless another file has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens on a path.
    ///
    /// # Errors
    /// The system's error. `AddrInUse` if another server listens on the path, or if the file there is not a socket.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        let file = Self {
            path: path.to_owned(),
            identity: identity(path)?,
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
        Ok((listener, file))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // If it cannot be removed, the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Removes the file of a socket on which nobody listens any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    let taken = |what: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, what.to_owned()));
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            taken("there is a file that is no socket")
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => taken("another server listens there"),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)
            }
            Err(error) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_on_which_nobody_listens_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("u.sock");
        // A server that was killed leaves its file like this.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (listener, file) = SocketFile::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let taken = SocketFile::bind(&path).unwrap_err();
        assert!(taken.to_string().contains("another server"), "{taken}");
        drop((listener, file));
        assert!(!path.exists());
        std::fs::write(&path, "a letter").unwrap();
        let taken = SocketFile::bind(&path).unwrap_err();
        assert!(taken.to_string().contains("no socket"), "{taken}");
        assert_eq!(std::fs::read(&path).unwrap(), b"a letter");
    }

    #[tokio::test]
    async fn the_file_of_another_server_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("u.sock");
        let (listener, file) = SocketFile::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (_successor, _its_file) = SocketFile::bind(&path).unwrap();
        drop((listener, file));
        assert!(path.exists());
    }
}
