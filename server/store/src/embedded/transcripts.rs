//! The folder of the CLI's session files, one for each conversation. Knows no rows.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use claude_comms_model::ConversationId;
use uuid::Uuid;

use super::directory;

const EXTENSION: &str = "jsonl";
const UNNAMED: &str = ".keeping-";

/// The folder.
#[derive(Debug)]
pub(crate) struct Transcripts {
    folder: PathBuf,
}

impl Transcripts {
    /// Makes the folder, or takes the one that is there.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        directory::make(&folder)?;
        directory::check(&folder)?;
        Ok(Self { folder })
    }

    /// Where a conversation's transcript is, or will be.
    pub(crate) fn path(&self, id: ConversationId) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }

    /// Makes a session file the conversation's transcript, in one step for whoever looks.
    pub(crate) fn keep(&self, id: ConversationId, session_file: &Path) -> io::Result<()> {
        let source = fs::symlink_metadata(session_file)?;
        if !source.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the session file is not a regular file",
            ));
        }
        let kept = self.path(id);
        // rename(2) between two links of one file does nothing and would leave the other name behind.
        let same = |kept: fs::Metadata| (kept.dev(), kept.ino()) == (source.dev(), source.ino());
        if fs::symlink_metadata(&kept).is_ok_and(same) {
            return Ok(());
        }
        let unnamed = self.folder.join(format!("{UNNAMED}{}", Uuid::now_v7()));
        let named = link_or_copy(session_file, &unnamed).and_then(|()| fs::rename(&unnamed, &kept));
        if named.is_err() {
            drop(fs::remove_file(&unnamed));
        }
        named
    }

    /// Removes a conversation's transcript, if there is one.
    pub(crate) fn remove(&self, id: ConversationId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes transcripts of conversations that are gone, and what an interrupted [`Transcripts::keep`] left. Files
    /// that the store did not name stay.
    pub(crate) fn remove_strays(&self, known: &HashSet<ConversationId>) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let id = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix('.'));
            let stray = match id.map(str::parse::<ConversationId>) {
                Some(Ok(id)) => !known.contains(&id),
                _ => name.starts_with(UNNAMED),
            };
            if stray && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::set_permissions(to, Permissions::from_mode(0o600)),
        // Another file system, one without links, or too many links: a copy serves as well.
        Err(_) => {
            let mut source = directory::open_private(from, OpenOptions::new().read(true))?;
            let mut copy = directory::open_private(to, OpenOptions::new().write(true).create_new(true))?;
            io::copy(&mut source, &mut copy).map(drop)
        }
    }
}
