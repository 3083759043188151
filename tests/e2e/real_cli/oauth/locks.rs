//! What an OAuth token's CLI must not read, run or tell, lock by lock.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use claude_comms_tests::{messages_api::Authentication, processes::Kind};

use super::{TOKEN, assert_no_canary, plant, with_token, working_directory};
use crate::real_cli::stage::{Stage, assert_answer};

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found
}

/// An instance whose first process has ended, so that the next one finds what is planted in its directories.
async fn planted(stage: &Stage, plant: impl FnOnce(&Path)) {
    stage.start_instance("one", "").await;
    stage.query("one", "before").await.unwrap().to_end().await;
    let instance = working_directory(stage).parent().unwrap().to_path_buf();
    plant(&instance);
    stage.kill_claude().await;
    let mut heard = stage.query("one", "after").await.unwrap();
    heard.to_end().await;
    assert_answer(&heard, "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_claude_md_leaves_a_trace() {
    let stage = Stage::with(|builder| {
        // Above every working directory too.
        fs::write(builder.world().root().join("CLAUDE.md"), "canary above").unwrap();
        fs::write(builder.world().home().join("CLAUDE.md"), "canary in HOME").unwrap();
        with_token(builder)
    })
    .await;
    planted(&stage, |instance| {
        for place in ["cwd", "cwd/.claude", "home", "home/.claude", "config"] {
            fs::create_dir_all(instance.join(place)).unwrap();
            for name in ["CLAUDE.md", "CLAUDE.local.md", "AGENTS.md"] {
                fs::write(instance.join(place).join(name), format!("canary {place} {name}")).unwrap();
            }
        }
    })
    .await;
    assert_no_canary(&stage.api.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_prompt_mentions_are_not_read() {
    let stage = Stage::with(with_token).await;
    let secret = stage.server.world().root().join("secret.txt");
    fs::write(&secret, "canary of a file").unwrap();
    let conversation = stage.client.new_conversation().await;
    let prompt = format!("see @{} and @/etc/hostname", secret.display());
    let heard = stage.client.ask(&conversation, prompt.clone()).await;
    assert_answer(&heard, &prompt);
    assert_no_canary(&stage.api.requests());
    assert_eq!(stage.last_request_users(), [prompt], "the prompt as it is and nothing beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_hooks_agents_and_skills_are_not_used() {
    let stage = Stage::with(with_token).await;
    let ran = stage.server.world().root().join("ran");
    fs::create_dir(&ran).unwrap();
    planted(&stage, |instance| {
        for place in ["cwd/.claude", "home/.claude", "config"] {
            plant(&instance.join(place), &ran);
        }
    })
    .await;
    assert_no_canary(&stage.api.requests());
    assert_eq!(files(&ran), Vec::<PathBuf>::new(), "no hook was run");
    assert!(stage.api.requests().iter().all(|request| request.tool_names().is_empty()), "no tool is offered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_socket_lies_in_a_private_directory_of_the_instance() {
    let stage = Stage::with(with_token).await;
    stage.start_instance("one", "").await;
    stage.query("one", "hello").await.unwrap().to_end().await;
    let instance = working_directory(&stage).parent().unwrap().to_path_buf();
    let is_socket = |file: &PathBuf| fs::symlink_metadata(file).unwrap().file_type().is_socket();
    let sockets: Vec<PathBuf> = files(&instance).into_iter().filter(is_socket).collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    let run = instance.join("run");
    assert!(sockets[0].starts_with(&run), "{sockets:?}");
    assert_eq!(fs::metadata(&run).unwrap().mode() & 0o777, 0o700);
    let elsewhere: Vec<PathBuf> = files(stage.server.world().root())
        .into_iter()
        .filter(is_socket)
        .filter(|file| !file.starts_with(&run))
        .collect();
    assert_eq!(elsewhere, [stage.server.world().socket()], "the server's own is the only other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_message_claude_is_told_only_of_its_empty_directory_the_system_the_model_and_the_date() {
    let stage = Stage::with(with_token).await;
    stage.start_instance("one", "").await;
    stage.query("one", "hello").await.unwrap().to_end().await;
    let working = working_directory(&stage);
    assert_eq!(fs::read_dir(&working).unwrap().count(), 0);
    let request = stage.api.requests().pop().unwrap();
    let messages = request.body["messages"].as_array().unwrap().clone();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "system"], "{messages:#?}");
    let block = messages[1]["content"][0]["text"].as_str().unwrap();
    assert!(block.starts_with("# Environment\n"), "{block}");
    for fact in ["Primary working directory:", "Platform: linux", "Today's date is", "powered by the model"] {
        assert!(block.contains(fact), "{fact} in {block}");
    }
    let home = stage.server.world().home();
    let told = block.replace(working.to_str().unwrap(), "");
    assert!(!told.contains(home.to_str().unwrap()), "no other path of the machine: {told}");
    assert_eq!(messages[1]["content"].as_array().unwrap().len(), 1, "{messages:#?}");
    assert!(!request.body.to_string().contains("<system-reminder>"), "{}", request.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_prompt_is_the_conversations_also_after_a_restart() {
    let mut stage = Stage::with(with_token).await;
    stage.start_instance("one", "Answer as a pirate.").await;
    stage.query("one", "first").await.unwrap().to_end().await;
    stage.kill_claude().await;
    stage.query("one", "second").await.unwrap().to_end().await;
    stage.crash().await;
    stage.restart().await;
    stage.query("one", "third").await.unwrap().to_end().await;
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        let texts = request.system_texts();
        assert_eq!(texts.last().map(String::as_str), Some("Answer as a pirate."), "{texts:#?}");
        // The CLI's own two lines come before it in every mode.
        assert_eq!(texts.len(), 3, "{texts:#?}");
    }
    assert_eq!(requests[2].user_texts(), ["first", "second", "third"], "it remembers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_the_header_alone() {
    let mut stage = Stage::with(with_token).await;
    stage.start_instance("one", "").await;
    stage.query("one", "hello").await.unwrap().to_end().await;
    for request in stage.api.requests() {
        assert_eq!(request.authentication, Authentication::Bearer);
        assert!(!request.body.to_string().contains(TOKEN));
        assert!(request.headers.values().all(|value| !value.contains(TOKEN)), "{:?}", request.headers);
    }
    for process in stage.server.processes().all() {
        assert!(!process.arguments.iter().any(|argument| argument.contains(TOKEN)), "{process:?}");
    }
    let claudes = stage.server.processes().of(Kind::Claude);
    assert!(claudes[0].arguments.iter().all(|argument| argument != "--bare"), "{claudes:?}");
    let holds = |file: &PathBuf| {
        let content = fs::read(file).unwrap_or_default();
        content.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes())
    };
    let root = stage.server.world().root().to_path_buf();
    assert_eq!(files(&root).into_iter().filter(holds).collect::<Vec<_>>(), Vec::<PathBuf>::new());
    stage.crash().await;
    assert_eq!(files(&root).into_iter().filter(holds).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}
