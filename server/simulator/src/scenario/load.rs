//! Reading a scenario file. Errors carry the file and, for its content, the
//! place: the YAML reader's message shows line and column with the source.

use std::path::{Path, PathBuf};

use super::format::Scenario;

/// A scenario that cannot be played; told on stderr, exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot read scenario {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("scenario {} is not valid", path.display())]
    Content {
        path: PathBuf,
        #[source]
        source: Box<serde_yaml::Error>,
    },
}

/// Reads and checks the file.
///
/// # Errors
/// [`LoadError`]; the chain names file, line and column.
pub(crate) fn load(path: &Path) -> Result<Scenario, LoadError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|source| LoadError::Content { path: path.to_owned(), source: Box::new(source) })
}

/// Reads a scenario from text.
///
/// # Errors
/// What is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Scenario, serde_yaml::Error> {
    serde_yaml::from_str(text)
}
