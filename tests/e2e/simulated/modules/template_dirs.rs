//! Template directories: their files win over the built-in templates, modules' own win over them, and both follow the files.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use claude_comms_tests::{Client, PATIENCE, TestServer, eventually};
use serde_json::json;

use super::{
    directories::broken,
    support::{descriptor, parameters, query, question, register, try_query, try_register},
};
use crate::simulated::support::bad_input;

async fn watching() -> (TestServer, PathBuf) {
    let builder = TestServer::simulated();
    let dir = builder.world().root().join("templates");
    fs::create_dir(&dir).unwrap();
    (builder.arguments(&["--template-dir", dir.to_str().unwrap()]).start().await, dir)
}

fn before(word: &str) -> String {
    format!("{{% extends \"builtin/query\" %}}{{% block before %}}{word}\n{{% endblock %}}")
}

async fn message(client: &Client, target: &str, template: &str) -> String {
    let mut asked = question("", target, "a question");
    asked.template = template.into();
    query(client, asked).await.turn().message.clone()
}

async fn eventually_says(client: &Client, template: &str, word: &str) {
    eventually(PATIENCE, &format!("{template} says {word}"), async || {
        let mut asked = question("", "marker", "a question");
        asked.template = template.into();
        let mut heard = try_query(client, asked).await.ok()?;
        heard.to_end().await.message.contains(word).then_some(())
    })
    .await;
}

#[tokio::test]
async fn template_files_win_over_built_in_ones_and_change_without_a_restart() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    assert!(message(&client, "marker", "query").await.starts_with("<question>"));
    fs::write(dir.join("query.md.j2"), before("from the directory")).unwrap();
    eventually_says(&client, "", "from the directory").await;
    assert!(
        message(&client, "marker", "builtin/query").await.starts_with("<question>"),
        "the lower layer stays"
    );
    fs::write(dir.join("query.md.j2"), before("changed")).unwrap();
    eventually_says(&client, "", "changed").await;
    fs::write(
        dir.join("mine.j2"),
        "---\nparameters: {word: {type: string}}\n---\n{{ word }}: {{ prompt }}\n",
    )
    .unwrap();
    let mut asked = question("", "marker", "hello");
    asked.template = "mine".into();
    asked.parameters = parameters(json!({"word": "say"}));
    let heard =
        eventually(PATIENCE, "the new template", async || try_query(&client, asked.clone()).await.ok()).await;
    let mut heard = heard;
    assert_eq!(heard.to_end().await.message.trim_end(), "say: hello");

    // A module's own wins, and can build on the directory's.
    let own = "{% extends \"dirs/query\" %}{% block after %}of the module\n{% endblock %}";
    register(
        &client,
        &descriptor("own", "1.0.0", json!({"context": {"templates": {"query": {"inline": own}}}})),
    )
    .await;
    let told = message(&client, "own", "").await;
    assert!(told.contains("changed") && told.contains("of the module"), "{told}");
    fs::remove_file(dir.join("query.md.j2")).unwrap();
    eventually(PATIENCE, "the built-in one counts again", async || {
        message(&client, "marker", "query").await.starts_with("<question>").then_some(())
    })
    .await;
    // What the module builds on is gone: nobody can be asked so, and it says why.
    let status = try_query(&client, question("", "own", "x")).await.expect_err("it cannot be made");
    assert!(status.message().contains("dirs/query"), "{status:?}");
    assert!(
        try_register(
            &client,
            &descriptor("late", "1.0.0", json!({"context": {"templates": {"query": {"inline": own}}}}))
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn a_broken_template_keeps_its_last_good_version_and_links_out_are_refused() {
    let (server, dir) = watching().await;
    let client = server.client().await;
    let file = dir.join("query.j2");
    fs::write(&file, before("good")).unwrap();
    eventually_says(&client, "", "good").await;
    for bad in
        ["{% if %}", "{% extends \"builtin/nothing\" %}", "---\nparameters: 3\n---\nx", "{{ prompt | safe }}"]
    {
        fs::write(&file, bad).unwrap();
        let told = eventually(PATIENCE, "it is told", async || broken(&client).await.pop()).await;
        assert!(
            told.kept && told.path == file.to_str().unwrap() && !told.problems.is_empty(),
            "{bad}: {told:?}"
        );
        assert!(message(&client, "marker", "").await.contains("good"), "{bad}");
        fs::write(&file, before("good again")).unwrap();
        eventually(PATIENCE, "nothing is broken", async || broken(&client).await.is_empty().then_some(()))
            .await;
    }
    let outside = server.world().root().join("secret.j2");
    fs::write(&outside, "secret\n").unwrap();
    symlink(&outside, dir.join("leak.j2")).unwrap();
    fs::write(dir.join("Bad Name.j2"), "x\n").unwrap();
    fs::write(dir.join(".hidden.j2"), "{% if %}").unwrap();
    fs::write(dir.join("notes.txt"), "{% if %}").unwrap();
    let told = eventually(PATIENCE, "both are told", async || {
        let told = broken(&client).await;
        (told.len() >= 2).then_some(told)
    })
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|file| file.path.ends_with("leak.j2") && file.problems.contains("link")),
        "{told:?}"
    );
    let mut asked = question("", "marker", "x");
    asked.template = "leak".into();
    bad_input(try_query(&client, asked).await, &["template"]);
}
