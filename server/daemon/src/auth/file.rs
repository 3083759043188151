//! The built-in token of TCP endpoints: made once, kept in the data directory, readable by its owner alone.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use uuid::Uuid;

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read or made.
    #[error("token file {path} cannot be used")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error("token file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds nothing that could be a token.
    #[error(
        "token file {path} holds no token (at least 16 characters are needed); remove it and a new one is made"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the token of a data directory, making it at the first start.
///
/// # Errors
/// [`TokenFileError`].
pub fn load(data_dir: &Path) -> Result<SecretString, TokenFileError> {
    let path = data_dir.join("token");
    let unusable = |source| TokenFileError::Unusable { path: path.clone(), source };
    match fs::metadata(&path) {
        Ok(meta) if meta.mode() & 0o077 != 0 => {
            Err(TokenFileError::Readable { path: path.clone(), mode: meta.mode() & 0o777 })
        }
        Ok(_) => {
            let token = fs::read_to_string(&path).map_err(unusable)?.trim().to_owned();
            if token.len() < 16 { Err(TokenFileError::Empty { path }) } else { Ok(token.into()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // 244 random bits from the system.
            let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            write(&path, &token).map_err(unusable)?;
            Ok(token.into())
        }
        Err(source) => Err(unusable(source)),
    }
}

/// Writes the file whole or not at all. The data directory's lock keeps others away.
fn write(path: &Path, token: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
