//! The data directory: who may open it, what is refused, and that what is refused stays as it is.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use claude_comms_store::{OpenError, Options, RedbStore, Store};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::FileBackend,
};

use crate::{
    process::{self, Other, tell},
    support::*,
};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("claude_comms_meta");

/// Every file under a directory with its bytes; the lock aside, which is not the store's content.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            files.extend(content(&path));
        } else if path.file_name().unwrap() != "lock" {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Opening fails and changes nothing.
fn refused(dir: &Path) -> OpenError {
    let before = content(dir);
    let error = RedbStore::open(dir, Options::default()).expect_err("it is no store");
    assert_eq!(content(dir), before, "{error}");
    error
}

fn redb(path: &Path) -> Database {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    Builder::new().create_with_backend(FileBackend::new(file).unwrap()).unwrap()
}

/// A file with a meta table as it would be by hand.
fn by_hand(path: &Path, meta: &[(&str, &str)]) {
    let database = redb(path);
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(META).unwrap();
        for (key, value) in meta {
            table.insert(key, value).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// The bytes of a store with some turns.
async fn some_store() -> Vec<u8> {
    let place = place();
    for _ in 0..20 {
        let id = conversation(&*place.store).await;
        for _ in 0..5 {
            let (turn, lease) = running(&*place.store, id).await;
            finished(&*place.store, &turn, lease).await;
        }
    }
    place.store.close().await;
    fs::read(place.dir.path().join("store.redb")).unwrap()
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_untouched() {
    let store = some_store().await;
    let noise: Vec<u8> =
        (0..65_536_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let magic = b"redb\x1a\x0a\xa9\x0d\x0a";
    let mut files = vec![
        Vec::new(),
        b"r".to_vec(),
        b"not a store\n".to_vec(),
        noise.clone(),
        magic.to_vec(),
        [magic, &[0; 8192][..]].concat(),
        [magic, &noise[..]].concat(),
        [&store[..], &noise[..1000]].concat(),
    ];
    files.extend(
        [10, 320, 4096, 5000, store.len() / 2, store.len() - 4096, store.len() - 1]
            .map(|length| store[..length].to_vec()),
    );
    for bytes in files {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        fs::write(&path, &bytes).unwrap();
        match refused(dir.path()) {
            OpenError::Corrupt { path: named, why } => {
                assert_eq!(named, path);
                assert!(!why.is_empty());
            }
            other => panic!("{} bytes: {other:?}", bytes.len()),
        }
    }
}

/// Any byte of the header may be wrong: that may be refused or repaired, but never changed by a refusal.
#[tokio::test]
async fn a_damaged_header_never_brings_the_server_down() {
    let store = some_store().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let mut refusals = 0;
    for at in 0..320 {
        let mut bytes = store.clone();
        bytes[at] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        match RedbStore::open(dir.path(), Options::default()) {
            Ok(store) => store.close().await,
            Err(OpenError::Corrupt { .. }) => {
                refusals += 1;
                assert_eq!(fs::read(&path).unwrap(), bytes, "byte {at}");
            }
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(refusals > 20, "{refusals}");
}

#[tokio::test]
async fn damaged_pages_give_errors() {
    let mut bytes = some_store().await;
    let dir = tempfile::tempdir().unwrap();
    bytes[8192..].fill(0xff);
    fs::write(dir.path().join("store.redb"), &bytes).unwrap();
    let store = match RedbStore::open(dir.path(), Options::default()) {
        Err(OpenError::Corrupt { .. }) => return,
        other => other.unwrap(),
    };
    assert!(
        store.unfinished_turns().await.is_err()
            || store.create_conversation(new_conversation()).await.is_err()
    );
}

#[test]
fn other_programs_redb_files_are_refused() {
    let foreign: [fn(&Path); 4] = [
        |path| drop(redb(path)),
        |path| by_hand(path, &[]),
        |path| by_hand(path, &[("schema_version", "one")]),
        // Says version 1 without its tables.
        |path| by_hand(path, &[("schema_version", "1"), ("incarnation", "1")]),
    ];
    for make in foreign {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join("store.redb"));
        let error = refused(dir.path());
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    }
}

#[test]
fn a_newer_store_is_refused_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    by_hand(&dir.path().join("store.redb"), &[("schema_version", "2"), ("something", "new")]);
    match refused(dir.path()) {
        OpenError::Newer { found: 2, known: 1, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_older_store_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let server = new_conversation().id.to_string();
    let path = dir.path().join("store.redb");
    by_hand(&path, &[("schema_version", "0"), ("server_id", &server), ("incarnation", "6")]);
    let store = open(dir.path());
    assert_eq!((store.server().id.to_string(), store.server().incarnation), (server, 7));
    conversation(&store).await;
    store.close().await;
    let database = redb(&path);
    let snapshot = database.begin_read().unwrap();
    let meta = snapshot.open_table(META).unwrap();
    assert_eq!(meta.get("schema_version").unwrap().unwrap().value(), "1");
    assert_eq!(meta.len().unwrap(), 3);
}

#[tokio::test]
async fn the_server_keeps_its_id_and_counts_its_openings() {
    let mut place = place();
    let first = place.store.server();
    assert_eq!(first.incarnation, 1);
    for incarnation in 2..5 {
        place = place.reopened().await;
        assert_eq!((place.store.server().id, place.store.server().incarnation), (first.id, incarnation));
    }
}

#[test]
fn the_files_are_the_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new").join("data");
    let store = open(&dir);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("transcripts")), 0o700);
    assert_eq!(mode(&dir.join("store.redb")), 0o600);
    assert_eq!(mode(&dir.join("lock")), 0o600);
    drop(store);
    fs::set_permissions(dir.join("store.redb"), fs::Permissions::from_mode(0o644)).unwrap();
    let _store = open(&dir);
    assert_eq!(mode(&dir.join("store.redb")), 0o600);
}

#[test]
fn a_place_that_cannot_be_trusted_is_unusable() {
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name);
    fs::create_dir(path("real")).unwrap();
    symlink(path("real"), path("link")).unwrap();
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("closed")).unwrap();
    fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    for (name, inside) in
        [("lock_link", "lock"), ("store_link", "store.redb"), ("folder_link", "transcripts")]
    {
        fs::create_dir(path(name)).unwrap();
        symlink(path("file"), path(name).join(inside)).unwrap();
    }
    fs::create_dir_all(path("store_folder").join("store.redb")).unwrap();
    for name in
        ["link", "file", "file/below", "closed", "lock_link", "store_link", "folder_link", "store_folder"]
    {
        let error = RedbStore::open(&path(name), Options::default()).expect_err(name);
        assert!(matches!(error, OpenError::Unusable { .. }), "{name}: {error:?}");
    }
    assert_eq!(fs::read(path("file")).unwrap(), b"");
    assert_eq!(fs::read_dir(path("real")).unwrap().count(), 0);
}

#[test]
fn a_directory_that_others_can_write_is_refused_and_one_they_can_read_is_not() {
    for folder in ["", "transcripts"] {
        for (mode, shared) in [(0o770, true), (0o702, true), (0o1777, true), (0o755, false), (0o711, false)] {
            let dir = tempfile::tempdir().unwrap();
            let path = if folder.is_empty() { dir.path().to_owned() } else { dir.path().join(folder) };
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            if !shared {
                open(dir.path());
                continue;
            }
            let error = refused(dir.path());
            assert!(matches!(error, OpenError::Shared { mode: found, .. } if found == mode), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("(mode {mode:04o})")), "{text}");
            // A directory that is meant to be shared must not be told to close.
            let remedy = match mode {
                0o1777 => "give a directory of its own".to_owned(),
                _ => format!("`chmod 700 {}`", path.display()),
            };
            assert!(text.ends_with(&remedy), "{text}");
        }
    }
}

#[tokio::test]
async fn transcripts_of_a_store_that_was_moved_away_are_set_aside() {
    let place = place();
    let id = conversation(&*place.store).await;
    fs::write(place.store.transcript(id), "precious\n").unwrap();
    place.store.close().await;
    fs::remove_file(place.dir.path().join("store.redb")).unwrap();
    let store = open(place.dir.path());
    assert!(!store.transcript(id).exists());
    let aside = place.dir.path().join(format!("transcripts.before-{}", store.server().id));
    assert_eq!(fs::read_to_string(aside.join(format!("{id}.jsonl"))).unwrap(), "precious\n");
}

#[test]
fn a_second_opening_is_refused_with_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    match RedbStore::open(dir.path(), Options::default()) {
        Err(error @ OpenError::InUse { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
            assert!(text.ends_with("stop that one, or give another --data-dir"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    drop(store);
    open(dir.path());
}

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    if let Some(directory) = process::directory() {
        let _store = open(&directory);
        tell("open");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut other = Other::running("files::a_second_process_is_refused_until_the_first_is_gone", dir.path());
    assert_eq!(other.told().as_deref(), Some("open"));
    match RedbStore::open(dir.path(), Options::default()) {
        Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, other.id().to_string()),
        other => panic!("{other:?}"),
    }
    other.kill();
    assert_eq!(open(dir.path()).server().incarnation, 2);
}

/// Descriptors into the directory: none may reach a child, none may stay after closing.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn descriptors_end_with_the_store_and_are_not_inherited() {
    const CLOEXEC: u32 = 0o2_000_000;
    let place = place();
    let root = place.dir.path().canonicalize().unwrap();
    let open_files = || -> Vec<u32> {
        let entries = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
        entries
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&root)))
            .map(|entry| {
                let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
                let info = fs::read_to_string(info).unwrap();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
                u32::from_str_radix(flags.trim(), 8).unwrap()
            })
            .collect()
    };
    conversation(&*place.store).await;
    let open_now = open_files();
    assert_eq!(open_now.len(), 2, "the lock and the store");
    assert!(open_now.iter().all(|flags| flags & CLOEXEC != 0));
    place.store.close().await;
    assert!(open_files().is_empty());
}
