//! Template directories: `NAME.j2` files; a broken one keeps its last good version.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use claude_comms_context::{
    built_in_templates,
    templates::{Layer, TemplateRecord, Templates},
};
use claude_comms_descriptors::template::TemplateFile;

use super::BrokenFile;

const FILE_BYTES: u64 = 64 << 10;
const FILES: usize = 1000;

/// The directories, and what was good in them.
#[derive(Debug)]
pub(super) struct TemplateFiles {
    dirs: Vec<PathBuf>,
    good: BTreeMap<String, (PathBuf, String)>,
}

/// One file as it is now.
struct Found {
    name: String,
    path: PathBuf,
    text: Result<String, String>,
}

impl TemplateFiles {
    pub(super) fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs, good: BTreeMap::new() }
    }

    /// Reads the directories. Blocking.
    pub(super) fn scan(&mut self) -> (Vec<TemplateRecord>, Vec<BrokenFile>) {
        let mut broken = Vec::new();
        let mut now: BTreeMap<String, (PathBuf, String)> = BTreeMap::new();
        let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in self.dirs.clone() {
            let found = match files(&dir) {
                Ok(found) => found,
                Err(error) => {
                    let kept = self.good.values().any(|(path, _)| path.starts_with(&dir));
                    now.extend(self.good.clone().into_iter().filter(|(_, (path, _))| path.starts_with(&dir)));
                    let problems = format!("the template directory cannot be read: {error}");
                    broken.push(BrokenFile { path: dir, problems, kept });
                    continue;
                }
            };
            for Found { name, path, text } in found {
                if let Some(first) = seen.get(&name) {
                    let problems = format!("template {name} is defined by {} already", first.display());
                    broken.push(BrokenFile { path, problems, kept: false });
                    continue;
                }
                seen.insert(name.clone(), path.clone());
                match text.and_then(|text| checked(&text).map(|()| text)) {
                    Ok(text) => {
                        now.insert(name, (path, text));
                    }
                    Err(problems) => {
                        let last = self.good.get(&name).filter(|(old, _)| *old == path).cloned();
                        broken.push(BrokenFile { path, problems, kept: last.is_some() });
                        now.extend(last.map(|last| (name, last)));
                    }
                }
            }
        }
        self.settle(&mut now, &mut broken);
        self.good = now;
        (records(&self.good), broken)
    }

    /// Leaves out what does not compile together with the others: an `extends` of a template that is not there.
    fn settle(&self, now: &mut BTreeMap<String, (PathBuf, String)>, broken: &mut Vec<BrokenFile>) {
        loop {
            let mut all = built_in_templates();
            all.extend(records(now));
            let Err(problems) = Templates::new(all) else { return };
            let mut changed = false;
            for problem in problems {
                let Some((path, text)) = now.remove(&problem.name) else { continue };
                changed = true;
                // The last good one may compile still; if not, it goes in the next round.
                let last = self.good.get(&problem.name).filter(|(old, last)| *old == path && *last != text);
                let at = problem.line.map_or_else(String::new, |line| format!("line {line}: "));
                let problems = format!("{at}{}", problem.message);
                broken.push(BrokenFile { path, problems, kept: last.is_some() });
                now.extend(last.map(|last| (problem.name.clone(), last.clone())));
            }
            if !changed {
                return;
            }
        }
    }
}

fn records(good: &BTreeMap<String, (PathBuf, String)>) -> Vec<TemplateRecord> {
    let record = |(name, (_, text)): (&String, &(PathBuf, String))| TemplateRecord {
        layer: Layer::Directory,
        name: name.clone(),
        text: text.clone(),
    };
    good.iter().map(record).collect()
}

fn checked(text: &str) -> Result<(), String> {
    TemplateFile::parse(text).map(drop).map_err(|problem| {
        let at = problem.line.map_or_else(String::new, |line| format!("line {line}: "));
        format!("{at}{}", problem.message)
    })
}

/// The `*.j2` files of a directory, by name; hidden ones are passed over.
fn files(dir: &Path) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_template = file.ends_with(".j2") && !file.starts_with('.');
        if !is_template || found.len() >= FILES {
            continue;
        }
        let name = file.split('.').next().unwrap_or_default().to_owned();
        found.push(Found { text: read(dir, &path, &name), name, path });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(dir: &Path, path: &Path, name: &str) -> Result<String, String> {
    if !claude_comms_descriptors::is_name(name) {
        return Err(format!(
            "the file's name begins with {name:?}, which is not a template's name; use lower-case letters, digits, _ and -"
        ));
    }
    let real = path.canonicalize().map_err(|error| format!("it cannot be read: {error}"))?;
    if !dir.canonicalize().is_ok_and(|dir| real.starts_with(dir)) {
        return Err("it is a link that leaves the template directory".to_owned());
    }
    let metadata = std::fs::metadata(&real).map_err(|error| format!("it cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > FILE_BYTES {
        return Err(format!("it has {} bytes, the limit is {FILE_BYTES}", metadata.len()));
    }
    let bytes = std::fs::read(&real).map_err(|error| format!("it cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
