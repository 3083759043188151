//! Module directories: what is a module there is known, what is broken is told, and both follow the files.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use claude_comms_proto::v1::{BrokenFile, GetServerInfoRequest, ModuleOrigin};
use claude_comms_tests::{Client, TestServer, eventually};
use serde_json::json;

use super::support::{module, modules, query, question, with_role};
use crate::simulated::support::completed;

/// Shorter than the time after which the server looks by itself: what is seen within it, the system has told.
pub(super) const TOLD: Duration = Duration::from_secs(20);

/// A server that watches the folder `modules` of its world, which is empty so far.
pub(super) async fn watching() -> (TestServer, PathBuf) {
    let builder = TestServer::simulated();
    let dir = builder.world().root().join("modules");
    fs::create_dir(&dir).unwrap();
    (builder.arguments(&["--module-dir", dir.to_str().unwrap()]).start().await, dir)
}

pub(super) async fn broken(client: &Client) -> Vec<BrokenFile> {
    client
        .diagnostics
        .clone()
        .get_server_info(GetServerInfoRequest {})
        .await
        .unwrap()
        .into_inner()
        .broken_files
}

async fn of_directories(client: &Client) -> Vec<String> {
    let all = modules(client, 0).await.into_iter();
    all.filter(|module| module.origin() == ModuleOrigin::Directory).map(|module| module.name).collect()
}

async fn eventually_known(client: &Client, names: &[&str]) {
    eventually(TOLD, &format!("the directories' modules are {names:?}"), async || {
        (of_directories(client).await == names).then_some(())
    })
    .await;
}

async fn eventually_described(client: &Client, name: &str, role: &str) {
    eventually(TOLD, &format!("{name} is {role}"), async || {
        module(client, name).await.ok().filter(|module| module.descriptor_json.contains(role))
    })
    .await;
}

fn write(file: &Path, name: &str, role: &str) {
    fs::write(file, with_role(name, "1.0.0", role).to_string()).unwrap();
}

const YAML: &str = "schema: claude-comms/module/v1\nname: from_yaml\nversion: 1.0.0\ndescription: Of a file.\ncontext:\n  \
                    templates: {query: templates/query.j2}\n";

#[tokio::test]
async fn good_files_are_modules_broken_ones_are_told_and_all_others_are_passed_over() {
    let builder = TestServer::simulated();
    let root = builder.world().root().to_owned();
    let dir = root.join("modules");
    for folder in ["deep/er/templates", ".hidden", "node_modules/x"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    write(&dir.join("one.json"), "one", "one");
    fs::write(dir.join("deep/er/two.yml"), YAML).unwrap();
    fs::write(dir.join("deep/er/templates/query.j2"), "From the file: {{ prompt }}\n").unwrap();
    write(&dir.join(".hidden.json"), "hidden", "x");
    write(&dir.join(".hidden/inside.json"), "inside", "x");
    write(&dir.join("node_modules/x/package.json"), "package", "x");
    fs::write(dir.join("settings.yaml"), "schema: something/else\nname: settings\n").unwrap();
    fs::write(dir.join("data.json"), "{\"a\": [1, 2").unwrap();
    fs::write(dir.join("notes.txt"), "schema: claude-comms/module/v1\n").unwrap();
    fs::write(dir.join("broken.yaml"), "schema: claude-comms/module/v1\nname: broken\nversion: 1\n").unwrap();
    write(&dir.join("twice.json"), "one", "second file");
    write(&root.join("outside.json"), "outside", "x");
    symlink(root.join("outside.json"), dir.join("link.json")).unwrap();
    symlink(dir.join("one.json"), dir.join("same.json")).unwrap();
    symlink(&dir, dir.join("deep/circle")).unwrap();
    let server = builder.arguments(&["--module-dir", dir.to_str().unwrap()]).start().await;
    let client = server.client().await;
    assert_eq!(of_directories(&client).await, ["from_yaml", "one"]);
    let found = module(&client, "from_yaml").await.unwrap();
    assert_eq!(found.path, dir.join("deep/er/two.yml").to_str().unwrap());
    let heard = query(&client, question("", "from_yaml", "hello")).await;
    assert_eq!(
        heard.turn().message.trim_end(),
        "From the file: hello",
        "templates are inlined when they are read"
    );

    let broken = broken(&client).await;
    let names: Vec<&str> = broken.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["broken.yaml", "link.json", "twice.json"], "{broken:?}");
    assert!(
        broken.iter().all(|file| !file.kept && file.path.starts_with(dir.to_str().unwrap())),
        "{broken:?}"
    );
    assert!(
        broken[0].problems.contains("broken.yaml:3:") && broken[0].problems.contains("version"),
        "{broken:?}"
    );
    assert!(broken[0].problems.contains("description"), "every problem is told: {broken:?}");
    assert!(broken[1].problems.contains("link out of the directory"), "{broken:?}");
    assert!(broken[2].problems.contains("one.json"), "{broken:?}");
    let log = server.log();
    assert!(log.contains("broken.yaml:3:") && log.contains("link.json"), "{log}");
}

#[tokio::test]
async fn what_happens_to_files_happens_to_modules() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    assert!(of_directories(&client).await.is_empty());
    write(&dir.join("one.json"), "one", "new file");
    eventually_described(&client, "one", "new file").await;
    write(&dir.join("one.json"), "one", "changed");
    eventually_described(&client, "one", "changed").await;
    // As many editors save: another file takes the name.
    write(&dir.join(".one.json.swp"), "one", "renamed over");
    fs::rename(dir.join(".one.json.swp"), dir.join("one.json")).unwrap();
    eventually_described(&client, "one", "renamed over").await;
    fs::create_dir_all(dir.join("later/deeper")).unwrap();
    write(&dir.join("later/deeper/two.json"), "two", "in a new folder");
    eventually_known(&client, &["one", "two"]).await;
    write(&dir.join("later/deeper/two.json"), "two", "changed in a new folder");
    eventually_described(&client, "two", "changed in a new folder").await;
    fs::rename(dir.join("later"), dir.join("moved")).unwrap();
    eventually(TOLD, "the module has moved", async || {
        module(&client, "two").await.ok().filter(|module| module.path.contains("moved"))
    })
    .await;
    fs::remove_dir_all(dir.join("moved")).unwrap();
    eventually_known(&client, &["one"]).await;
    write(&dir.join("one.json"), "other", "another name");
    eventually_known(&client, &["other"]).await;
    fs::remove_file(dir.join("one.json")).unwrap();
    eventually_known(&client, &[]).await;
    assert!(broken(&client).await.is_empty());
}

#[tokio::test]
async fn a_file_that_breaks_keeps_its_last_good_version_until_it_is_mended_or_gone() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    let file = dir.join("one.json");
    write(&file, "one", "good");
    eventually_described(&client, "one", "good").await;
    for (number, text) in
        ["{\"schema\": \"claude-comms/module/v1\", \"name\": \"one\"", "", "no module at all"]
            .into_iter()
            .enumerate()
    {
        fs::write(&file, text).unwrap();
        let told = eventually(TOLD, "the broken file is told", async || broken(&client).await.pop()).await;
        assert!(told.kept && told.path == file.to_str().unwrap() && !told.problems.is_empty(), "{told:?}");
        assert!(module(&client, "one").await.unwrap().descriptor_json.contains("good"));
        completed(query(&client, question("", "one", "x")).await.turn());
        assert!(server.log().contains("file cannot be used"), "{}", server.log());
        write(&file, "one", &format!("mended {number} good"));
        eventually_described(&client, "one", &format!("mended {number}")).await;
        eventually(TOLD, "nothing is broken", async || broken(&client).await.is_empty().then_some(())).await;
    }
    fs::write(&file, "{").unwrap();
    eventually(TOLD, "it is told", async || broken(&client).await.pop()).await;
    fs::remove_file(&file).unwrap();
    eventually_known(&client, &[]).await;
    eventually(TOLD, "what is gone is not broken", async || broken(&client).await.is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn of_two_directories_the_first_one_counts_and_a_missing_one_is_told() {
    let builder = TestServer::simulated();
    let root = builder.world().root().to_owned();
    for folder in ["first", "second"] {
        fs::create_dir(root.join(folder)).unwrap();
        write(&root.join(folder).join("one.json"), "one", folder);
    }
    let configuration =
        json!({"module_dirs": [root.join("first"), root.join("second"), root.join("missing")]});
    let server = builder.configuration(configuration.to_string()).start().await;
    let client = server.client().await;
    assert!(module(&client, "one").await.unwrap().descriptor_json.contains("first"));
    let told = broken(&client).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|file| file.path.ends_with("second/one.json"))
            && told.iter().any(|file| file.path.ends_with("missing"))
    );
    fs::remove_file(root.join("first/one.json")).unwrap();
    eventually_described(&client, "one", "second").await;
    let ran = server.cli(&["status"]).await.expect(0);
    assert!(ran.stdout.contains("missing"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_followed_on() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    write(&dir.join("one.json"), "one", "one");
    eventually_known(&client, &["one"]).await;
    for name in ["two", "three"] {
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        write(&dir.join("first.json"), name, name);
        eventually_known(&client, &[name]).await;
        write(&dir.join("first.json"), name, "changed");
        eventually_described(&client, name, "changed").await;
    }
}
