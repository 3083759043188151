//! Watching: what changes in the directories is loaded without a restart.

use std::{
    collections::{HashMap, HashSet},
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use claude_comms_descriptors::{
    load::{Scan, Scanner},
    registry::{Entry, Origin},
};
use claude_comms_model::Timestamp;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::ModifyKind};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{BrokenFile, Modules, template_files::TemplateFiles};
use crate::config::Config;

/// How long the directories must be quiet before they are read: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// How long changes may go on before they are read all the same.
const LONGEST: Duration = Duration::from_secs(2);
/// Where changes are not told (a directory that is not there yet, a network file system) it is looked for them.
const LOOK: Duration = Duration::from_secs(30);

/// The directories as they were last read.
struct Directories {
    /// Those of modules and those of templates, as the settings name them.
    dirs: (Vec<PathBuf>, Vec<PathBuf>),
    watching: Watching,
    modules: Scanner,
    templates: TemplateFiles,
}

impl Directories {
    fn new(changed: mpsc::Sender<()>, config: &Config) -> Self {
        let dirs = (config.module_dirs.clone(), config.template_dirs.clone());
        Self {
            watching: Watching::new(changed, dirs.0.clone(), dirs.1.clone()),
            modules: Scanner::new(dirs.0.clone()),
            templates: TemplateFiles::new(dirs.1.clone()),
            dirs,
        }
    }

    fn are_of(&self, config: &Config) -> bool {
        self.dirs.0 == config.module_dirs && self.dirs.1 == config.template_dirs
    }

    fn is_empty(&self) -> bool {
        self.dirs.0.is_empty() && self.dirs.1.is_empty()
    }
}

impl Modules {
    /// Reads the directories now, and again whenever they change, until `end`.
    pub(crate) async fn watch(&self, tracker: &TaskTracker, end: CancellationToken) {
        let mut settings = self.0.settings.subscribe();
        let config = Arc::clone(&settings.borrow_and_update());
        // Room for one: a change that is not read yet says all.
        let (changed, changes) = mpsc::channel(1);
        let directories = Directories::new(changed.clone(), &config);
        let directories =
            if directories.is_empty() { Some(directories) } else { self.reload(directories).await };
        tracker.spawn(self.clone().follow((changed, changes), settings, directories, end));
    }

    async fn follow(
        self,
        (changed, mut changes): (mpsc::Sender<()>, mpsc::Receiver<()>),
        mut settings: watch::Receiver<Arc<Config>>,
        mut directories: Option<Directories>,
        end: CancellationToken,
    ) {
        loop {
            let look = directories.as_ref().is_some_and(|known| !known.is_empty());
            tokio::select! {
                () = end.cancelled() => return,
                change = changes.recv() => if change.is_some() { quiet(&mut changes).await },
                Ok(()) = settings.changed() => {
                    let config = Arc::clone(&settings.borrow_and_update());
                    if directories.as_ref().is_some_and(|known| known.are_of(&config)) {
                        continue;
                    }
                    directories = Some(Directories::new(changed.clone(), &config));
                }
                () = tokio::time::sleep(LOOK), if look => {}
            }
            let Some(known) = directories.take() else { return };
            directories = self.reload(known).await;
        }
    }

    /// Reads the directories and puts what is good into the registry. `None` if the server is ending.
    async fn reload(&self, directories: Directories) -> Option<Directories> {
        let scanning = tokio::task::spawn_blocking(move || {
            let mut directories = directories;
            // Watched before they are read, so that no change falls between.
            directories.watching.take_up();
            let scan = directories.modules.scan();
            let templates = directories.templates.scan();
            (directories, scan, templates)
        });
        let (directories, scan, (templates, broken_templates)) = scanning.await.ok()?;
        let mut broken = broken_modules(&scan);
        broken.extend(broken_templates);
        self.take_in(scan, templates, broken);
        Some(directories)
    }

    fn take_in(
        &self,
        scan: Scan,
        templates: Vec<claude_comms_context::templates::TemplateRecord>,
        broken: Vec<BrokenFile>,
    ) {
        let now = Timestamp::from(std::time::SystemTime::now()).0;
        let entries: Vec<Entry> = {
            let registry = self.registry();
            let entry = |loaded: claude_comms_descriptors::load::Loaded| {
                let digest = claude_comms_descriptors::digest(&loaded.descriptor);
                let before = registry.get_from(&loaded.descriptor.name, Origin::Directory);
                let created = before.map_or(now, |before| before.create_time_micros);
                let updated = before
                    .filter(|before| before.digest == digest)
                    .map_or(now, |before| before.update_time_micros);
                Entry {
                    digest,
                    descriptor: loaded.descriptor,
                    origin: Origin::Directory,
                    revision: 1,
                    path: loaded.file.display().to_string(),
                    create_time_micros: created,
                    update_time_micros: updated,
                    warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
                }
            };
            scan.modules.into_iter().map(entry).collect()
        };
        let modules = entries.len();
        let same_templates = *self.directory_templates() == templates;
        let changes = self.registry_mut().replace(Origin::Directory, entries);
        if !same_templates {
            *self.0.templates.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
                Arc::new(templates);
        }
        if !changes.is_empty() || !same_templates {
            self.sceneries().clear();
            tracing::info!(
                modules,
                added = few(&changes.added),
                changed = few(&changes.changed),
                removed = few(&changes.removed),
                templates_changed = !same_templates,
                "module and template directories read"
            );
        }
        let before = std::mem::replace(
            &mut *self.0.broken.write().unwrap_or_else(std::sync::PoisonError::into_inner),
            broken.clone(),
        );
        let known: HashSet<(&PathBuf, &str)> =
            before.iter().map(|file| (&file.path, file.problems.as_str())).collect();
        for file in before.iter().filter(|file| broken.iter().all(|now| now.path != file.path)) {
            tracing::info!(file = %file.path.display(), "file can be used again, or is gone");
        }
        for file in broken.iter().filter(|file| !known.contains(&(&file.path, file.problems.as_str()))) {
            tracing::warn!(
                file = %file.path.display(),
                kept_last_good_version = file.kept,
                problems = file.problems,
                "file cannot be used"
            );
        }
    }
}

/// The first names, and how many more there are: a line of a log is for reading.
fn few(names: &[String]) -> String {
    const NAMES: usize = 5;
    match names.len().checked_sub(NAMES) {
        None | Some(0) => names.join(" "),
        Some(more) => format!("{} and {more} more", names[..NAMES].join(" ")),
    }
}

fn broken_modules(scan: &Scan) -> Vec<BrokenFile> {
    let broken = scan.broken.iter().map(|broken| BrokenFile {
        path: broken.file.clone(),
        problems: broken
            .problems
            .iter()
            .map(|problem| problem.located(&broken.file.display().to_string()))
            .collect::<Vec<_>>()
            .join("\n"),
        kept: broken.kept,
    });
    broken.collect()
}

/// Waits until nothing changes any more.
async fn quiet(changes: &mut mpsc::Receiver<()>) {
    let _ = tokio::time::timeout(LONGEST, async {
        while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
    })
    .await;
}

/// The system's watches. A directory that cannot be watched yet is tried again at every look.
struct Watching {
    watcher: Option<RecommendedWatcher>,
    dirs: Vec<PathBuf>,
    /// What was watched under each path: another directory of that path needs a watch of its own.
    watched: HashMap<PathBuf, (u64, u64)>,
    /// Set when a directory was removed or renamed.
    lost: Arc<AtomicBool>,
    told: bool,
}

impl Watching {
    fn new(changed: mpsc::Sender<()>, modules: Vec<PathBuf>, templates: Vec<PathBuf>) -> Self {
        let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
        let dirs: Vec<PathBuf> = modules.into_iter().chain(templates).map(absolute).collect();
        let (sender, ours) = (changed, dirs.clone());
        let lost = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&lost);
        let tell = move |event: notify::Result<notify::Event>| {
            // Their parents are watched too, so that a directory that is replaced is seen; what else happens there is not ours.
            let matters = event.as_ref().map_or(true, |event| {
                // Its watch goes with a directory that is removed or renamed; the one that takes its place may have its number.
                let gone =
                    matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
                if gone && event.paths.iter().any(|path| ours.contains(path)) {
                    mark.store(true, Ordering::Release);
                }
                let below = |path: &PathBuf| ours.iter().any(|dir| path.starts_with(dir));
                !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(below))
            });
            if matters {
                // Full: the change before this one is not read yet.
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell)
            .inspect_err(|error| tracing::warn!(%error, "directories are not watched, only looked at"))
            .ok();
        Self { watcher, dirs, watched: HashMap::new(), lost, told: false }
    }

    /// Watches what is there now. Blocking: it walks the directories.
    fn take_up(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.lost.swap(false, Ordering::AcqRel) {
            for (dir, _) in self.watched.drain() {
                let _ = watcher.unwatch(&dir);
            }
        }
        for dir in &self.dirs {
            let now =
                std::fs::metadata(dir).ok().filter(Metadata::is_dir).map(|found| (found.dev(), found.ino()));
            if self.watched.get(dir).copied() == now {
                continue;
            }
            if self.watched.remove(dir).is_some() {
                let _ = watcher.unwatch(dir);
            }
            let Some(now) = now else { continue };
            if let Some(parent) = dir.parent() {
                // Where this fails, a directory that is replaced is seen at the next look.
                let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
            }
            match watcher.watch(dir, RecursiveMode::Recursive) {
                Ok(()) => {
                    self.watched.insert(dir.clone(), now);
                }
                Err(error) if !self.told => {
                    self.told = true;
                    tracing::warn!(dir = %dir.display(), %error, "directory is not watched, only looked at");
                }
                Err(_) => {}
            }
        }
    }
}
