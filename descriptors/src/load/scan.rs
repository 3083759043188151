//! What a scan of directories brings.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{descriptor::Descriptor, load::Scanner, problem::Problem};

/// Files that were modules before: if they are none any more, that is a mistake and not another kind of file.
pub type Known = HashSet<PathBuf>;

/// What directories hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scan {
    /// The modules, each name once, in the order of the directories and then of the paths.
    pub modules: Vec<Loaded>,
    /// The files and directories that are not what they should be, in the same order.
    pub broken: Vec<Broken>,
    /// How many `*.yaml`, `*.yml` and `*.json` files are something else.
    pub passed_over: usize,
}

/// A module and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The module; its templates are inline.
    pub descriptor: Arc<Descriptor>,
    /// Its file, below the directory as that was named.
    pub file: PathBuf,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// A file or directory that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file or directory.
    pub file: PathBuf,
    /// The module's name, if it can be told.
    pub name: Option<String>,
    /// What is wrong, in the order of the text.
    pub problems: Vec<Problem>,
    /// Whether the file's last good version is still among the modules.
    pub kept: bool,
}

impl Broken {
    pub(super) fn path(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), name: None, problems: vec![Problem::of_text(message)], kept: false }
    }
}

/// Reads directories once, from the beginning. Whoever scans again and again keeps a [`Scanner`].
pub fn scan(dirs: &[PathBuf], known: &Known) -> Scan {
    Scanner::new(dirs.to_vec()).with_known(known.clone()).scan()
}
