//! Scans directories again and again: reads only what changed, and keeps the last good version of a file that broke or
//! cannot be reached.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    check::{TemplateFiles, limits, parse_bytes},
    descriptor::Descriptor,
    load::{Broken, Known, Loaded, Scan, walk::walk},
    node::At,
    problem::Problem,
    reading,
    stack::with_large_stack,
    words::{is_name, quoted},
};

/// What every descriptor's text holds.
const MARK: &str = "claude-comms/module/";
/// How much of a file that is too large is looked at to tell whether it was meant as a descriptor.
const GLANCE_BYTES: u64 = 64 * 1024;
/// A file that changed less than this before it was read may change again without a new time stamp.
const RACY_SECONDS: i64 = 2;

/// Directories, and what is known of their files.
#[derive(Debug, Default)]
pub struct Scanner {
    dirs: Vec<PathBuf>,
    known: Known,
    files: HashMap<PathBuf, Seen>,
}

/// What the last reading of a file gave.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    state: State,
    /// The last version without problems.
    good: Option<Good>,
}

#[derive(Debug)]
enum State {
    Module,
    /// Something else than a descriptor.
    Other,
    Broken {
        name: Option<String>,
        problems: Vec<Problem>,
    },
}

#[derive(Debug)]
struct Good {
    descriptor: Arc<Descriptor>,
    warnings: Vec<Problem>,
    templates: Vec<(PathBuf, Stamp)>,
}

/// What changes when a file changes. The inode's change time cannot be set back, as the modification time can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    bytes: u64,
    /// Whether a later change would show.
    settled: bool,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let settled = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(changed.0) > RACY_SECONDS;
        Self { inode: metadata.ino(), changed, bytes: metadata.len(), settled }
    }

    /// Whether a file with this stamp is as it was read with that one.
    fn is_as(&self, read: &Self) -> bool {
        read.settled && (self.inode, self.changed, self.bytes) == (read.inode, read.changed, read.bytes)
    }
}

impl Scanner {
    /// A scanner that has read nothing yet. Where two files have one name, the earlier directory's counts.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs, ..Self::default() }
    }

    /// Takes these files for modules, though it has not read them itself.
    #[must_use]
    pub fn with_known(mut self, known: Known) -> Self {
        self.known = known;
        self
    }

    /// The directories.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Reads what changed since the last scan. Blocks on the file system.
    pub fn scan(&mut self) -> Scan {
        // One thread for all files. Where the system gives none, each file says so itself.
        let scanned = with_large_stack(|| self.scan_here());
        scanned.unwrap_or_else(|_| self.scan_here())
    }

    fn scan_here(&mut self) -> Scan {
        let found = walk(&self.dirs);
        let mut before = std::mem::take(&mut self.files);
        let mut scan = Scan { broken: found.broken, ..Scan::default() };
        let mut names: HashMap<String, PathBuf> = HashMap::new();
        let mut files: Vec<(PathBuf, Option<Metadata>)> =
            found.files.into_iter().map(|(file, metadata)| (file, Some(metadata))).collect();
        let out_of_reach = self.out_of_reach(&files, &before, &found.unreadable);
        if !out_of_reach.is_empty() {
            // Told once, with what is kept.
            scan.broken.retain(|broken| !out_of_reach.contains(&broken.file));
            files.extend(out_of_reach.into_iter().map(|file| (file, None)));
            files.sort_by_key(|(file, _)| self.order(file));
        }
        for (file, metadata) in files {
            let seen = match (before.remove(&file), metadata) {
                (Some(seen), Some(metadata)) if seen.is_current(&metadata) => seen,
                (last, Some(metadata)) => self.read(&file, &metadata, last.and_then(|last| last.good)),
                (Some(last), None) => last.out_of_reach(),
                (None, None) => continue,
            };
            seen.report(&file, &mut names, &mut scan);
            self.files.insert(file, seen);
        }
        scan.broken.sort_by_key(|broken| self.order(&broken.file));
        scan
    }

    /// The modules' files that were not found, but are below what could not be read.
    fn out_of_reach(
        &self,
        found: &[(PathBuf, Option<Metadata>)],
        before: &HashMap<PathBuf, Seen>,
        unreadable: &[PathBuf],
    ) -> Vec<PathBuf> {
        if unreadable.is_empty() {
            return Vec::new();
        }
        let found: HashSet<&Path> = found.iter().map(|(file, _)| file.as_path()).collect();
        let lost = before.iter().filter(|(file, seen)| {
            seen.good.is_some()
                && !found.contains(file.as_path())
                && unreadable.iter().any(|path| file.starts_with(path))
                && self.dirs.iter().any(|dir| file.starts_with(dir))
        });
        lost.map(|(file, _)| file.clone()).collect()
    }

    fn order(&self, file: &Path) -> (usize, PathBuf) {
        let dir = self.dirs.iter().position(|dir| file.starts_with(dir)).unwrap_or(usize::MAX);
        (dir, file.to_owned())
    }

    fn read(&self, file: &Path, metadata: &Metadata, good: Option<Good>) -> Seen {
        let stamp = Stamp::of(metadata);
        let was_module = good.is_some() || self.known.contains(file);
        let name = good.as_ref().map(|good| good.descriptor.name.clone());
        let folder = file.parent().unwrap_or(Path::new("."));
        let bytes = match read_bounded(file, metadata.len()) {
            Ok(bytes) => bytes,
            Err(error) if was_module => {
                let problem = Problem::of_text(format!("cannot read: {error}; change its permissions"));
                return Seen { stamp, state: State::Broken { name, problems: vec![problem] }, good };
            }
            Err(_) => return Seen { stamp, state: State::Other, good },
        };
        if !was_module && !holds_mark(&bytes) {
            return Seen { stamp, state: State::Other, good };
        }
        match parse_bytes(&bytes, TemplateFiles::Below(folder)) {
            Ok(parsed) => {
                let templates = parsed
                    .template_files
                    .into_iter()
                    .filter_map(|file| {
                        let stamp = Stamp::of(&fs::metadata(&file).ok()?);
                        Some((file, stamp))
                    })
                    .collect();
                let good =
                    Good { descriptor: Arc::new(parsed.descriptor), warnings: parsed.warnings, templates };
                Seen { stamp, state: State::Module, good: Some(good) }
            }
            Err(problems) => {
                let text = String::from_utf8_lossy(&bytes);
                let own = own_name(&text);
                if !was_module && !is_meant_as_module(&text) {
                    return Seen { stamp, state: State::Other, good };
                }
                Seen { stamp, state: State::Broken { name: own.or(name), problems }, good }
            }
        }
    }
}

impl Seen {
    /// The same, of a file that cannot be read now.
    fn out_of_reach(self) -> Self {
        let name = self.good.as_ref().map(|good| good.descriptor.name.clone());
        let message = "cannot be read, or its folder cannot; change the permissions, or move it away";
        Self { state: State::Broken { name, problems: vec![Problem::of_text(message)] }, ..self }
    }

    /// Whether the file and its templates are as they were when it was read. What is broken is read again each time: a
    /// template that was missing may be there now.
    fn is_current(&self, metadata: &Metadata) -> bool {
        !matches!(self.state, State::Broken { .. })
            && Stamp::of(metadata).is_as(&self.stamp)
            && self
                .good
                .iter()
                .flat_map(|good| &good.templates)
                .all(|(file, read)| fs::metadata(file).is_ok_and(|metadata| Stamp::of(&metadata).is_as(read)))
    }

    fn report(&self, file: &Path, names: &mut HashMap<String, PathBuf>, scan: &mut Scan) {
        let mut kept = false;
        if matches!(self.state, State::Other) {
            scan.passed_over += 1;
            return;
        }
        if let Some(good) = &self.good {
            let name = &good.descriptor.name;
            if let Some(first) = names.get(name) {
                let message = format!(
                    "{} is the name of the module in {} too, which counts; rename one, or take one away",
                    quoted(name),
                    first.display()
                );
                let mut problem = Problem::of_text(message);
                problem.path = "name".to_owned();
                let name = Some(name.clone());
                scan.broken.push(Broken {
                    file: file.to_owned(),
                    name,
                    problems: vec![problem],
                    kept: false,
                });
            } else {
                names.insert(name.clone(), file.to_owned());
                scan.modules.push(Loaded {
                    descriptor: Arc::clone(&good.descriptor),
                    file: file.to_owned(),
                    warnings: good.warnings.clone(),
                });
                kept = true;
            }
        }
        if let State::Broken { name, problems } = &self.state {
            let (name, problems) = (name.clone(), problems.clone());
            scan.broken.push(Broken { file: file.to_owned(), name, problems, kept });
        }
    }
}

/// The bytes of a file; one that is too large is cut where it can be seen to be.
fn read_bounded(file: &Path, bytes: u64) -> std::io::Result<Vec<u8>> {
    let most = limits::TEXT_BYTES as u64;
    let mut read = Vec::with_capacity(usize::try_from(bytes.min(most)).unwrap_or_default());
    let mut open = File::open(file)?;
    open.by_ref().take(GLANCE_BYTES).read_to_end(&mut read)?;
    if bytes <= most || holds_mark(&read) {
        open.take(most + 1 - GLANCE_BYTES).read_to_end(&mut read)?;
    }
    Ok(read)
}

fn holds_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// Whether a text that is no descriptor was meant as one. If it cannot be read at all, the line decides that says so.
fn is_meant_as_module(text: &str) -> bool {
    match reading::read(text) {
        Ok(root) => At::root(&root).text_of("schema").is_some_and(|(_, schema)| schema.starts_with(MARK)),
        Err(_) => text.lines().any(|line| {
            let line = line.trim_start_matches('\u{feff}');
            let json = line.trim_start().trim_start_matches(['{', ' ', '\t']).starts_with("\"schema\"");
            (json || line.starts_with("schema:")) && line.contains(MARK)
        }),
    }
}

/// The name that a broken descriptor gives itself.
fn own_name(text: &str) -> Option<String> {
    let root = reading::read(text).ok()?;
    let (_, name) = At::root(&root).text_of("name")?;
    is_name(name).then(|| name.to_owned())
}
