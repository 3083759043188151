//! Modules of one name from several places: the registered one counts before that of a directory, and that before the built-in
//! one; conversations do not mind.

use std::fs;

use claude_comms_proto::v1::{ModuleOrigin, SendMessageRequest};
use claude_comms_tests::TestServer;
use tonic::Code;

use super::support::{conversation, module, query, question, register, unregister, with_role};
use crate::simulated::support::{completed, refused};

#[tokio::test]
async fn unregistering_uncovers_the_directory_and_then_the_built_in_one() {
    let builder = TestServer::simulated();
    let dir = builder.world().root().join("modules");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("marker.json");
    fs::write(&file, with_role("marker", "0.0.1", "directory").to_string()).unwrap();
    let server = builder.arguments(&["--module-dir", dir.to_str().unwrap()]).start().await;
    let client = server.client().await;
    let origin = async || module(&client, "marker").await.unwrap().origin();
    let found = module(&client, "marker").await.unwrap();
    assert_eq!(
        (found.origin(), found.version.as_str()),
        (ModuleOrigin::Directory, "0.0.1"),
        "whatever the versions"
    );
    assert_eq!(found.path, file.to_str().unwrap());
    // Versions compare within one origin: this one is lower than the built-in one.
    register(&client, &with_role("marker", "0.0.1", "registered")).await;
    assert_eq!(origin().await, ModuleOrigin::Registered);
    let gone = unregister(&client, "marker").await.unwrap();
    assert_eq!((gone.origin(), gone.version.as_str()), (ModuleOrigin::Registered, "0.0.1"));
    assert_eq!(origin().await, ModuleOrigin::Directory);
    let status = refused(unregister(&client, "marker").await, Code::NotFound, "MODULE_NOT_REGISTERED");
    assert!(status.message().contains(file.to_str().unwrap()), "{status:?}");
    fs::remove_file(&file).unwrap();
    claude_comms_tests::eventually(claude_comms_tests::PATIENCE, "the built-in one", async || {
        (origin().await == ModuleOrigin::BuiltIn).then_some(())
    })
    .await;
    let status = refused(unregister(&client, "marker").await, Code::NotFound, "MODULE_NOT_REGISTERED");
    assert!(status.message().contains("built in"), "{status:?}");
}

#[tokio::test]
async fn conversations_with_a_module_that_was_taken_out_can_be_read_and_go_on() {
    let mut server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &with_role("one", "1.0.0", "You are the first.")).await;
    let heard = query(&client, question("marker", "one", "before")).await;
    let id = heard.turn().conversation_id.clone();
    unregister(&client, "one").await.unwrap();
    refused(module(&client, "one").await, Code::NotFound, "MODULE_NOT_FOUND");
    let new = super::support::try_query(&client, question("marker", "one", "new")).await;
    refused(new, Code::NotFound, "MODULE_NOT_FOUND");
    for round in 0..2 {
        let client = server.client().await;
        let found = conversation(&client, &id).await;
        assert_eq!((found.target_module.as_str(), found.target_version.as_str()), ("one", "1.0.0"));
        let mut again = question("", "", &format!("after {round}"));
        again.conversation_id.clone_from(&id);
        let heard = query(&client, again).await;
        assert!(
            completed(heard.turn()).contains("The") && heard.turn().message.contains("after"),
            "{heard:?}"
        );
        let plain =
            SendMessageRequest { conversation_id: id.clone(), prompt: "plain".into(), ..Default::default() };
        let mut heard = client.send_request(plain).await.unwrap();
        assert!(heard.to_end().await.message.contains("<question>"));
        completed(heard.turn());
        assert!(conversation(&client, &id).await.system_prompt.contains("You are the first."));
        server.kill9().await;
        server.restart().await;
    }
}
