//! The session file `<config dir>/projects/<mangled cwd>/<session id>.jsonl`,
//! in the shape of CLI 2.1.330. It is only ever appended to: the server lends
//! it by hard link, and a replaced file would be another file. It knows lines
//! and their chain (`parentUuid`), not turns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ids::timestamp;

/// Longest folder name before the CLI shortens it and adds a hash.
const PROJECT_NAME_UNITS: usize = 200;

/// Where the CLI keeps the sessions of `cwd`: everything but ASCII letters and digits becomes `-`.
pub(crate) fn project_dir(config_dir: &Path, cwd: &Path) -> PathBuf {
    let units: Vec<u16> = cwd.to_string_lossy().encode_utf16().collect();
    let plain =
        |unit: &u16| u8::try_from(*unit).ok().filter(u8::is_ascii_alphanumeric).unwrap_or(b'-') as char;
    let mut name: String = units.iter().map(plain).collect();
    if name.len() > PROJECT_NAME_UNITS {
        name.truncate(PROJECT_NAME_UNITS);
        let hash = units
            .iter()
            .fold(0_i32, |hash, unit| hash.wrapping_shl(5).wrapping_sub(hash).wrapping_add(i32::from(*unit)));
        name.push('-');
        name.push_str(&base36(hash.unsigned_abs()));
    }
    config_dir.join("projects").join(name)
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).expect("a remainder of 36 is a digit of base 36"));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// The file of a session: under the folder of `cwd`, else under any other, else `id` itself if it is a path.
pub(crate) fn find(config_dir: &Path, cwd: &Path, id: &str) -> Option<PathBuf> {
    if id.ends_with(".jsonl") {
        return Some(PathBuf::from(id)).filter(|path| path.is_file());
    }
    let name = format!("{id}.jsonl");
    let own = project_dir(config_dir, cwd).join(&name);
    if own.is_file() {
        return Some(own);
    }
    let projects = fs::read_dir(config_dir.join("projects")).ok()?;
    projects.flatten().map(|project| project.path().join(&name)).find(|path| path.is_file())
}

/// One line of the file that is part of the conversation.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) uuid: String,
    pub(crate) parent: Option<String>,
    pub(crate) line: Value,
}

/// The conversation in a session file: the chain that ends with its last line, oldest first.
///
/// # Errors
/// That of reading. Lines that are not JSON are passed over: a crash may have cut one.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let bytes = fs::read(path)?;
    let mut entries: Vec<Entry> = String::from_utf8_lossy(&bytes).lines().filter_map(entry).collect();
    let Some(last) = entries.last() else { return Ok(entries) };
    let mut wanted = Some(last.uuid.clone());
    let mut chain = Vec::new();
    while let Some(entry) = entries.pop() {
        if wanted.as_deref() == Some(entry.uuid.as_str()) {
            wanted.clone_from(&entry.parent);
            chain.push(entry);
        }
    }
    chain.reverse();
    Ok(chain)
}

fn entry(line: &str) -> Option<Entry> {
    let line: Value = serde_json::from_str(line).ok()?;
    if !matches!(line["type"].as_str(), Some("user" | "assistant")) {
        return None;
    }
    let uuid = line["uuid"].as_str()?.to_owned();
    let parent = line["parentUuid"].as_str().map(str::to_owned);
    Some(Entry { uuid, parent, line })
}

/// What every line of a session says.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) session_id: String,
    pub(crate) cwd: String,
    pub(crate) version: String,
}

/// The writing end; without a path it only keeps the chain (`--no-session-persistence`).
#[derive(Debug)]
pub(crate) struct Transcript {
    path: Option<PathBuf>,
    file: Option<File>,
    stamp: Stamp,
    leaf: Option<String>,
    /// Lines to copy to the file of a fork when it is first written.
    inherited: Vec<Value>,
}

impl Transcript {
    /// `leaf` is the uuid that the next line follows; nothing is created before the first line.
    pub(crate) fn new(
        path: Option<PathBuf>,
        stamp: Stamp,
        leaf: Option<String>,
        inherited: Vec<Value>,
    ) -> Self {
        Self { path, file: None, stamp, leaf, inherited }
    }

    /// Appends a message and makes it the leaf. `extra` are further fields of the line.
    ///
    /// # Errors
    /// That of the file.
    pub(crate) fn append(
        &mut self,
        kind: &str,
        uuid: &str,
        message: &Value,
        extra: &Value,
    ) -> io::Result<()> {
        let mut line = json!({
            "parentUuid": self.leaf, "isSidechain": false, "userType": "external", "cwd": self.stamp.cwd,
            "sessionId": self.stamp.session_id, "version": self.stamp.version, "gitBranch": "", "type": kind,
            "message": message, "uuid": uuid, "timestamp": timestamp(),
        });
        if let (Some(line), Some(extra)) = (line.as_object_mut(), extra.as_object()) {
            line.extend(extra.clone());
        }
        self.leaf = Some(uuid.to_owned());
        self.write(&line)
    }

    /// Appends what the CLI notes at the end of a turn.
    ///
    /// # Errors
    /// That of the file.
    pub(crate) fn end_turn(&mut self, prompt: &str) -> io::Result<()> {
        let line = json!({
            "type": "last-prompt", "lastPrompt": prompt, "leafUuid": self.leaf, "sessionId": self.stamp.session_id,
        });
        self.write(&line)
    }

    fn write(&mut self, line: &Value) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.file.is_none() {
            let file = open(path)?;
            for mut copy in self.inherited.drain(..) {
                let from = json!({ "sessionId": copy["sessionId"], "messageUuid": copy["uuid"] });
                copy["sessionId"] = json!(self.stamp.session_id);
                copy["forkedFrom"] = from;
                write_line(&file, &copy)?;
            }
            self.file = Some(file);
        }
        write_line(self.file.as_ref().expect("the file was just opened"), line)
    }
}

/// One write for a line, so that a crash cuts between lines.
fn write_line(mut file: &File, line: &Value) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

/// Opens for appending; a last line that a crash has cut is closed first.
fn open(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
