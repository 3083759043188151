//! What loading directories promises.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use claude_comms_descriptors::{
    TemplateFiles, canonical_json,
    load::{Known, Scan, Scanner, scan},
    parse,
};
use tempfile::TempDir;

fn module(name: &str, description: &str) -> String {
    format!(
        "schema: claude-comms/module/v1\nname: {name}\nversion: 1.0.0\ndescription: {description}\ncapabilities: []\n"
    )
}

fn put(dir: &TempDir, path: &str, text: &str) -> PathBuf {
    let file = dir.path().join(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(&file, text).expect("a file");
    file
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn scan_one(dir: &Path) -> Scan {
    scan(&[dir.to_owned()], &Known::new())
}

fn names(scan: &Scan) -> Vec<&str> {
    scan.modules.iter().map(|module| module.descriptor.name.as_str()).collect()
}

/// `path-below: message` of every problem.
fn broken(scan: &Scan, dir: &Path) -> Vec<String> {
    scan.broken
        .iter()
        .flat_map(|broken| {
            let file = broken.file.strip_prefix(dir).unwrap_or(&broken.file).display().to_string();
            broken.problems.iter().map(move |problem| problem.located(&file))
        })
        .collect()
}

#[test]
fn modules_are_found_in_all_folders_and_other_files_passed_over() {
    let dir = dir();
    put(&dir, "a.yaml", &module("a", "d"));
    put(&dir, "deep/er/b.yml", &module("b", "d"));
    put(
        &dir,
        "c.json",
        r#"{"schema":"claude-comms/module/v1","name":"c","version":"1.0.0","description":"d","capabilities":[]}"#,
    );
    put(&dir, "compose.yaml", "services: {db: {image: x}}\n");
    put(&dir, "schema.json", r#"{"schema": "other/v1"}"#);
    put(&dir, "broken.yaml", "{{ not yaml: [");
    put(&dir, "mentions.yaml", "text: see claude-comms/module/v1\n");
    put(&dir, "notes.md", &module("no", "d"));
    put(&dir, ".hidden/d.yaml", &module("no", "d"));
    put(&dir, ".e.yaml", &module("no", "d"));
    put(&dir, "node_modules/f/f.yaml", &module("no", "d"));
    let scan = scan_one(dir.path());
    assert_eq!(broken(&scan, dir.path()), Vec::<String>::new());
    assert_eq!(names(&scan), ["a", "c", "b"]);
    assert_eq!(scan.passed_over, 4);
    assert_eq!(scan.modules[2].file, dir.path().join("deep/er/b.yml"));
    assert_eq!(scan.modules[0].warnings.len(), 1, "no capabilities");
}

#[test]
fn a_file_that_says_it_is_a_module_is_reported_if_it_is_none() {
    let dir = dir();
    put(&dir, "a.yaml", &module("a", "''"));
    put(&dir, "b.yaml", "schema: claude-comms/module/v1\nname: [\n");
    put(&dir, "c.json", "{\n  \"schema\": \"claude-comms/module/v1\",\n}");
    put(&dir, "d.yaml", "schema: claude-comms/module/v9\nname: d\n");
    let scan = scan_one(dir.path());
    assert!(scan.modules.is_empty());
    let broken_names: Vec<_> = scan.broken.iter().map(|broken| broken.name.as_deref()).collect();
    assert_eq!(broken_names, [Some("a"), None, None, Some("d")]);
    let lines = broken(&scan, dir.path());
    assert!(lines[0].starts_with("a.yaml:4:14: description: empty"), "{lines:?}");
    assert!(lines[2].contains("comma too many"), "{lines:?}");
    assert!(lines[3].contains("it reads claude-comms/module/v1"), "{lines:?}");
}

#[test]
fn a_module_that_breaks_keeps_its_last_good_version() {
    let dir = dir();
    let file = put(&dir, "a.yaml", &module("a", "good"));
    let mut scanner = Scanner::new(vec![dir.path().to_owned()]);
    assert_eq!(names(&scanner.scan()), ["a"]);
    for text in ["", "name: a\n", "{{{", "schema: other/v1\n", "\u{1}"] {
        fs::write(&file, text).expect("a file");
        let scan = scanner.scan();
        assert_eq!(scan.modules[0].descriptor.description, "good", "{text:?}");
        assert_eq!(scan.broken.len(), 1, "{text:?}");
        assert!(scan.broken[0].kept);
        assert_eq!(scan.broken[0].name.as_deref(), Some("a"));
    }
    fs::write(&file, module("a", "better")).expect("a file");
    let scan = scanner.scan();
    assert_eq!(scan.modules[0].descriptor.description, "better");
    assert!(scan.broken.is_empty());
    fs::remove_file(&file).expect("it was there");
    assert_eq!(scanner.scan(), Scan::default());
}

#[test]
fn modules_in_a_folder_that_cannot_be_read_keep_their_last_good_version() {
    let (one, two) = (dir(), dir());
    let first = one.path().join("first");
    put(&one, "first/m/a.yaml", &module("a", "first"));
    put(&one, "first/m/b.yaml", "b: 1\n");
    put(&one, "first/z.yaml", &module("z", "d"));
    put(&two, "a.yaml", &module("a", "second"));
    let mut scanner = Scanner::new(vec![first.clone(), two.path().to_owned()]);
    let good = scanner.scan();
    assert_eq!(names(&good), ["a", "z"]);
    // A link in a circle can be read by nobody, not even by root, whom permissions do not stop.
    let lose = |path: &Path| {
        fs::rename(path, one.path().join("away")).expect("it is there");
        symlink(path, path).expect("a link");
    };
    let restore = |path: &Path| {
        fs::remove_file(path).expect("the link");
        fs::rename(one.path().join("away"), path).expect("it is there");
    };
    for (lost, kept) in [("m", 1), ("m/a.yaml", 1), ("z.yaml", 1), ("", 2)] {
        let lost = if lost.is_empty() { first.clone() } else { first.join(lost) };
        lose(&lost);
        for _ in 0..2 {
            let scan = scanner.scan();
            assert_eq!(scan.modules, good.modules, "{}", lost.display());
            let told: Vec<_> = scan.broken.iter().filter(|broken| broken.kept).collect();
            assert_eq!(told.len(), kept, "{:?}", scan.broken);
            assert!(told.iter().all(|broken| broken.file.starts_with(&lost) && broken.name.is_some()));
            let of_lost = scan.broken.iter().filter(|broken| broken.file == lost);
            assert_eq!(of_lost.count(), 1, "{:?}", scan.broken);
        }
        restore(&lost);
        assert_eq!(scanner.scan(), good);
    }
    // What is gone is gone.
    fs::remove_dir_all(first.join("m")).expect("it is there");
    let scan = scanner.scan();
    assert_eq!(scan.modules[0].descriptor.name, "z");
    assert_eq!(scan.modules[1].descriptor.description, "second");
    assert!(scan.broken.is_empty());
}

#[test]
fn a_file_known_as_a_module_is_broken_when_it_is_none() {
    let dir = dir();
    let file = put(&dir, "a.yaml", "just: yaml\n");
    assert!(scan_one(dir.path()).broken.is_empty());
    let scan = scan(&[dir.path().to_owned()], &HashSet::from([file]));
    assert_eq!(scan.broken.len(), 1);
    assert!(!scan.broken[0].kept);
}

#[test]
fn of_two_modules_with_one_name_the_first_by_path_counts() {
    let (one, two) = (dir(), dir());
    put(&one, "z.yaml", &module("same", "first directory"));
    put(&two, "a.yaml", &module("same", "second directory"));
    let dirs = [one.path().to_owned(), two.path().to_owned()];
    let scan = scan(&dirs, &Known::new());
    assert_eq!(scan.modules.len(), 1);
    assert_eq!(scan.modules[0].descriptor.description, "first directory");
    assert_eq!(scan.broken[0].file, two.path().join("a.yaml"));
    let message = scan.broken[0].problems[0].to_string();
    assert!(message.contains("name: \"same\" is the name of the module in"), "{message}");
    assert!(message.contains("z.yaml"), "{message}");
}

#[test]
fn links_are_followed_inside_the_directory_only() {
    let (outside, dir) = (dir(), dir());
    put(&outside, "out.yaml", &module("out", "d"));
    // As mounted configuration looks: the files are in a hidden folder, and links lead to it.
    put(&dir, ".data/in.yaml", &module("in", "d"));
    symlink(".data/in.yaml", dir.path().join("in.yaml")).expect("a link");
    symlink("in.yaml", dir.path().join("twice.yaml")).expect("a link");
    symlink(".", dir.path().join("round")).expect("a link");
    symlink("nowhere", dir.path().join("dangling.yaml")).expect("a link");
    symlink(outside.path(), dir.path().join("folder")).expect("a link");
    symlink(outside.path().join("out.yaml"), dir.path().join("out.yaml")).expect("a link");
    symlink(outside.path().join("out.yaml"), dir.path().join("out.txt")).expect("a link");
    let scan = scan_one(dir.path());
    assert_eq!(names(&scan), ["in"]);
    let lines = broken(&scan, dir.path());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("folder: a link out of the directory"), "{lines:?}");
    assert!(lines[1].starts_with("out.yaml: a link out of the directory"), "{lines:?}");
}

#[test]
fn a_missing_directory_is_reported_and_the_others_are_read() {
    let dir = dir();
    let file = put(&dir, "a.yaml", &module("a", "d"));
    let dirs = [dir.path().join("nowhere"), file, dir.path().to_owned()];
    let scan = scan(&dirs, &Known::new());
    assert_eq!(names(&scan), ["a"]);
    let lines = broken(&scan, dir.path());
    assert!(lines[0].starts_with("nowhere: cannot open the directory"), "{lines:?}");
    assert!(lines[1].starts_with("a.yaml: not a directory"), "{lines:?}");
}

#[test]
fn templates_come_from_the_descriptors_folder_and_their_change_is_seen() {
    let dir = dir();
    let text = module("a", "d") + "context: {templates: {query: q.j2}}\n";
    put(&dir, "m/a.yaml", &text);
    let mut scanner = Scanner::new(vec![dir.path().to_owned()]);
    let lines = broken(&scanner.scan(), dir.path());
    assert!(lines[0].contains("cannot open \"q.j2\""), "{lines:?}");
    put(&dir, "m/q.j2", "one");
    let first = scanner.scan();
    assert!(first.broken.is_empty(), "{:?}", first.broken);
    put(&dir, "m/q.j2", "two");
    let second = scanner.scan();
    assert_ne!(second.modules[0].descriptor, first.modules[0].descriptor);
    fs::remove_file(dir.path().join("m/q.j2")).expect("it was there");
    let third = scanner.scan();
    assert_eq!(third.modules, second.modules);
    assert!(third.broken[0].kept);
}

#[test]
fn a_file_that_is_too_large_is_reported_only_if_it_is_a_module() {
    let dir = dir();
    let filler = "# filler\n".repeat(100_000);
    put(&dir, "big.yaml", &(module("big", "d") + &filler));
    put(&dir, "other.yaml", &filler);
    let scan = scan_one(dir.path());
    assert_eq!(scan.passed_over, 1);
    let lines = broken(&scan, dir.path());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("512 KiB"), "{lines:?}");
}

#[test]
fn what_is_valid_with_its_files_is_valid_as_it_is_sent() {
    let dir = dir();
    let with = |templates: usize| {
        let names: Vec<String> = (0..templates).map(|n| format!("t{n}: t{n}.j2")).collect();
        let text = module("a", "d") + &format!("context: {{templates: {{{}}}}}\n", names.join(", "));
        parse(&text, TemplateFiles::Below(dir.path()))
    };
    for n in 0..12 {
        put(&dir, &format!("t{n}.j2"), &"x".repeat(60_000));
    }
    let sent = canonical_json(&with(8).expect("8 fit").descriptor);
    assert!(parse(&sent, TemplateFiles::Refused).is_ok());
    for templates in [9, 12] {
        let problems = with(templates).expect_err("too much");
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].path.as_str(), problems[0].line), ("context.templates", Some(6)));
        assert!(problems[0].message.contains("at most 524288 (512 KiB)"), "{}", problems[0]);
        assert!(problems[0].message.contains("t0 (60000), t1 (60000)"), "{}", problems[0]);
    }
}

#[test]
fn aliases_do_not_make_more_than_can_be_kept() {
    let text = module("a", "d").replace("capabilities: []\n", "capabilities:\n- {name: c0, description: &d ")
        + &"x".repeat(8_000)
        + "}\n";
    let with = |aliases: usize| {
        let more: String = (1..=aliases).map(|n| format!("- {{name: c{n}, description: *d}}\n")).collect();
        parse(&format!("{text}{more}"), TemplateFiles::Refused)
    };
    assert!(with(60).is_ok());
    let problems = with(70).expect_err("too much");
    assert!(problems[0].message.contains("use fewer aliases"), "{}", problems[0]);
}

#[test]
fn folders_deeper_than_the_bound_are_reported() {
    let dir = dir();
    put(&dir, &format!("{}m.yaml", "d/".repeat(40)), &module("deep", "d"));
    let scan = scan_one(dir.path());
    assert!(scan.modules.is_empty());
    assert!(broken(&scan, dir.path())[0].contains("deeper than 32 folders"));
}

#[test]
fn ten_thousand_files_are_scanned_again_without_reading_them() {
    let dir = dir();
    for number in 0..10_000 {
        let text = if number % 10 == 0 { module(&format!("m{number}"), "d") } else { "a: 1\n".to_owned() };
        put(&dir, &format!("{}/{number}.yaml", number % 100), &text);
    }
    let mut scanner = Scanner::new(vec![dir.path().to_owned()]);
    assert_eq!(scanner.scan().modules.len(), 1000);
    let begun = Instant::now();
    let scan = scanner.scan();
    let took = begun.elapsed();
    assert_eq!((scan.modules.len(), scan.passed_over), (1000, 9000));
    // A bound against reading everything again many times over, not a measurement.
    assert!(took < Duration::from_secs(20), "took {took:?}");
    eprintln!("second scan of 10,000 files: {took:?}");
}
