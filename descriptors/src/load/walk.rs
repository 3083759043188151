//! Finds the files that may be descriptors. Follows no link out of a directory, and knows nothing of what files hold.

use std::{
    collections::HashSet,
    fs::Metadata,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use crate::load::Broken;

/// Levels of folders below a directory.
const DEPTH: usize = 32;
/// Files and folders in one directory.
const ENTRIES: usize = 100_000;

/// What was found in all directories.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the directories and then of the paths; a file that is reached twice is here once.
    pub(super) files: Vec<(PathBuf, Metadata)>,
    pub(super) broken: Vec<Broken>,
    /// The files and folders among the broken that may be as they were, had they been readable.
    pub(super) unreadable: Vec<PathBuf>,
    seen: HashSet<(u64, u64)>,
}

pub(super) fn walk(dirs: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for dir in dirs {
        found.dir(dir);
    }
    found
}

impl Found {
    fn dir(&mut self, dir: &Path) {
        let root = match dir.canonicalize() {
            Ok(root) if root.is_dir() => root,
            Ok(_) => {
                return self
                    .broken
                    .push(Broken::path(dir, "not a directory; name the folder that holds modules"));
            }
            Err(error) => {
                let message = format!(
                    "cannot open the directory: {error}; create it, or take it out of the configuration"
                );
                if error.kind() != ErrorKind::NotFound {
                    self.unreadable.push(dir.to_owned());
                }
                return self.broken.push(Broken::path(dir, message));
            }
        };
        let mut walk = WalkDir::new(dir).follow_links(true).max_depth(DEPTH).sort_by_file_name().into_iter();
        let mut entries = 0;
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(&error);
                    continue;
                }
            };
            let is_dir = entry.file_type().is_dir();
            if entry.depth() > 0 && (hidden(&entry) || !self.inside(&entry, &root)) {
                if is_dir {
                    walk.skip_current_dir();
                }
                continue;
            }
            entries += 1;
            if entries > ENTRIES {
                let message =
                    format!("more than {ENTRIES} files; name the folders that hold modules instead");
                return self.broken.push(Broken::path(dir, message));
            }
            if is_dir && entry.depth() == DEPTH {
                let message = format!("deeper than {DEPTH} folders, so it is not looked into; move it up");
                self.broken.push(Broken::path(entry.path(), message));
            }
            if !(is_dir || entry.file_type().is_file() && may_be_descriptor(entry.path())) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            // A folder or file that links lead to as well: once is enough, and links in a circle end here.
            let first = self.seen.insert((metadata.dev(), metadata.ino()));
            if is_dir {
                if !first && entry.depth() > 0 {
                    walk.skip_current_dir();
                }
            } else if first {
                self.files.push((entry.into_path(), metadata));
            }
        }
    }

    /// Whether a link's target is inside the directory; what is no link is.
    fn inside(&mut self, entry: &DirEntry, root: &Path) -> bool {
        if !entry.path_is_symlink() {
            return true;
        }
        let Ok(target) = entry.path().canonicalize() else { return false };
        let inside = target.starts_with(root);
        if !inside && (entry.file_type().is_dir() || may_be_descriptor(entry.path())) {
            let message = "a link out of the directory, which is not followed; put the module itself there, or name its \
                           folder as a directory of modules";
            self.broken.push(Broken::path(entry.path(), message));
        }
        inside
    }

    fn unreadable(&mut self, error: &walkdir::Error) {
        let Some(path) = error.path() else { return };
        let Some(cause) = error.io_error() else { return };
        // A file that went away meanwhile, or a link to nowhere as editors make them for locks, is nothing to report.
        if cause.kind() != ErrorKind::NotFound {
            self.unreadable.push(path.to_owned());
            self.broken.push(Broken::path(
                path,
                format!("cannot read: {cause}; change its permissions, or move it away"),
            ));
        }
    }
}

fn hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') || name == "node_modules"
}

fn may_be_descriptor(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}
