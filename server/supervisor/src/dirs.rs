//! An instance's own directories, all 0700, and where in them the CLI keeps a session. It must not
//! know what a session holds.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// Longest project folder name the CLI uses as it is; beyond, it cuts there and adds a hash (seen, 2.1.330).
const PROJECT_NAME_LIMIT: usize = 200;

/// The directories of one instance.
#[derive(Debug, Clone)]
pub(crate) struct InstanceDirs {
    root: PathBuf,
    /// An operator's own configuration directory: used, never made, made private or removed.
    shared: Option<PathBuf>,
}

impl InstanceDirs {
    /// # Errors
    /// `InvalidInput` if `instance` is not one plain file name.
    pub(crate) fn below(instances_dir: &Path, instance: &str, shared: Option<&Path>) -> io::Result<Self> {
        if instance.is_empty() || instance.starts_with('.') || instance.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain directory name"));
        }
        Ok(Self { root: instances_dir.join(instance), shared: shared.map(Path::to_owned) })
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }
    pub(crate) fn config(&self) -> PathBuf {
        self.shared.clone().unwrap_or_else(|| self.root.join("config"))
    }
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
    pub(crate) fn cwd(&self) -> PathBuf {
        self.root.join("cwd")
    }

    /// Makes them all, 0700 whatever the umask. What a killed predecessor left in `run` (its peer
    /// socket) and `tmp` goes; `config` stays: it holds the sessions.
    pub(crate) fn create(&self) -> io::Result<()> {
        for stale in [self.run(), self.tmp()] {
            remove_dir_all(&stale)?;
        }
        create_private(&self.root)?;
        for dir in [self.home(), self.run(), self.tmp(), self.cwd()] {
            create_private(&dir)?;
        }
        if self.shared.is_none() {
            create_private(&self.config())?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        remove_dir_all(&self.root)
    }

    /// Where the CLI keeps the session. If it keeps it elsewhere (a folder name longer than it likes),
    /// that place, found by the session's id.
    pub(crate) fn session_file(&self, session: Uuid) -> PathBuf {
        let usual = self.usual_session_file(session);
        if usual.exists() {
            return usual;
        }
        let projects = fs::read_dir(self.config().join("projects")).into_iter().flatten().flatten();
        projects
            .map(|project| project.path().join(format!("{session}.jsonl")))
            .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
            .max()
            .map_or(usual, |(_, file)| file)
    }

    fn usual_session_file(&self, session: Uuid) -> PathBuf {
        // The CLI names the folder after its cwd with links resolved.
        let cwd = self.cwd();
        let cwd = cwd.canonicalize().unwrap_or(cwd);
        self.config().join("projects").join(project_name(&cwd)).join(format!("{session}.jsonl"))
    }

    /// Puts `transcript` where the CLI of this instance will look for `session`. A hard link, so that
    /// what the CLI appends is in `transcript` too; a copy where the file system cannot link.
    pub(crate) fn lend(&self, transcript: &Path, session: Uuid) -> io::Result<()> {
        let source = fs::metadata(transcript)?;
        let place = self.usual_session_file(session);
        if let Ok(there) = fs::metadata(&place)
            && (there.dev(), there.ino()) == (source.dev(), source.ino())
        {
            return Ok(());
        }
        let folder = place.parent().expect("the place is below a project folder");
        let projects = folder.parent().expect("a project folder is below projects");
        // An operator's own stays as it is.
        if self.shared.is_none() || !projects.exists() {
            create_private(projects)?;
        }
        create_private(folder)?;
        // Beside the place first: a half-made copy must never be found under the session's name.
        let fresh = place.with_extension("lent");
        remove_file(&fresh)?;
        if fs::hard_link(transcript, &fresh).is_err() {
            fs::copy(transcript, &fresh)?;
            fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
        }
        fs::rename(&fresh, &place)
    }
}

/// The CLI's name for the sessions of a working directory: each character that is not an ASCII letter
/// or digit is a dash (2.1.330).
fn project_name(cwd: &Path) -> String {
    let cwd = cwd.to_string_lossy();
    let dashed = cwd.encode_utf16().map(|unit| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '-',
    });
    dashed.take(PROJECT_NAME_LIMIT).collect()
}

fn create_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn remove_dir_all(dir: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(dir))
}

fn remove_file(file: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(file))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_folder_is_named_as_the_cli_names_it() {
        assert_eq!(project_name("/tmp/supx/a_b.c/cwd".as_ref()), "-tmp-supx-a-b-c-cwd");
        assert_eq!(project_name("/tmp/ä".as_ref()), "-tmp--");
    }

    #[test]
    fn an_instance_cannot_leave_the_instances_directory() {
        for name in ["", ".", "..", "../x", "a/b", "/etc", "a\0b"] {
            assert!(InstanceDirs::below("/i".as_ref(), name, None).is_err(), "{name:?}");
        }
        InstanceDirs::below("/i".as_ref(), "0197-inst_a", None).unwrap();
    }

    #[test]
    fn directories_are_private_and_leftovers_of_a_killed_process_go() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = InstanceDirs::below(temp.path(), "a", None).unwrap();
        fs::create_dir_all(dirs.run()).unwrap();
        fs::set_permissions(&dirs.root, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dirs.run().join("peer.sock"), "").unwrap();
        dirs.create().unwrap();
        for dir in [dirs.root.clone(), dirs.home(), dirs.config(), dirs.run(), dirs.tmp(), dirs.cwd()] {
            assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
        }
        assert_eq!(fs::read_dir(dirs.run()).unwrap().count(), 0);
        dirs.remove().unwrap();
        dirs.remove().unwrap();
        assert!(!dirs.root.exists());
    }

    #[test]
    fn a_lent_transcript_is_found_by_session_and_sees_what_the_cli_appends() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = InstanceDirs::below(temp.path(), "a", None).unwrap();
        dirs.create().unwrap();
        let kept = temp.path().join("kept");
        fs::write(&kept, "one\n").unwrap();
        let session = Uuid::new_v4();
        dirs.lend(&kept, session).unwrap();
        dirs.lend(&kept, session).unwrap();
        let place = dirs.session_file(session);
        assert_eq!(fs::read_to_string(&place).unwrap(), "one\n");
        assert_eq!(fs::metadata(place.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        fs::write(&place, "one\ntwo\n").unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "one\ntwo\n");
        // Another transcript for the same session replaces the first, which keeps its own content.
        let other = temp.path().join("other");
        fs::write(&other, "three\n").unwrap();
        dirs.lend(&other, session).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "three\n");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_session_kept_under_another_folder_is_found_by_its_id() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = InstanceDirs::below(temp.path(), "a", None).unwrap();
        let session = Uuid::new_v4();
        let elsewhere = dirs.config().join("projects/elsewhere").join(format!("{session}.jsonl"));
        fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
        fs::write(&elsewhere, "").unwrap();
        assert_eq!(dirs.session_file(session), elsewhere);
    }

    #[test]
    fn an_operators_directory_is_used_and_left_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let own = temp.path().join("login");
        fs::create_dir_all(own.join("projects")).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o750)).unwrap();
        fs::set_permissions(own.join("projects"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(own.join(".credentials.json"), "{}").unwrap();
        let dirs = InstanceDirs::below(&temp.path().join("instances"), "a", Some(&own)).unwrap();
        dirs.create().unwrap();
        let (kept, session) = (temp.path().join("kept"), Uuid::new_v4());
        fs::write(&kept, "one\n").unwrap();
        dirs.lend(&kept, session).unwrap();
        assert!(dirs.session_file(session).starts_with(own.join("projects")));
        dirs.remove().unwrap();
        assert!(!dirs.root.exists() && own.join(".credentials.json").exists());
        assert_eq!(fs::read_to_string(dirs.session_file(session)).unwrap(), "one\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&own), mode(&own.join("projects"))), (0o750, 0o755));
    }
}
