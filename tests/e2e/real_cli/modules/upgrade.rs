//! A conversation whose context is made anew: the model is told the new one, and remembers what was said before.

use claude_comms_proto::v1::{UpgradeConversationRequest, turn_event::Event};
use claude_comms_tests::{Reply, processes::Kind};
use serde_json::json;

use super::asking::{between, context_of, conversation_of, further, module, with_oauth_token};
use crate::real_cli::stage::{Stage, assert_answer, count};

#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_the_model_knows_the_new_context_and_all_that_was_said() {
    after_an_upgrade(&Stage::new().await).await;
}

/// There the CLI would keep the first system prompt of a session, were it not told otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_the_model_knows_the_new_context_with_an_oauth_token_too() {
    after_an_upgrade(&with_oauth_token().await).await;
}

async fn after_an_upgrade(stage: &Stage) {
    stage.register(&module("expert", "FORMER", json!({}))).await;
    stage.api.queue(Reply::text("answer one"));
    let first = stage.query_module(between("marker", "expert", "one?")).await;
    assert_answer(&first, "answer one");
    let conversation = conversation_of(&first).to_owned();
    stage.register(&module("expert", "LATTER", json!({"version": "2.0.0"}))).await;
    stage.api.queue(Reply::text("answer two"));
    let second = stage.query_module(further(&conversation, "two?")).await;
    assert_answer(&second, "answer two");
    assert_eq!(context_of(&stage.request(1)), context_of(&stage.request(0)), "not before it is asked for");

    let request = UpgradeConversationRequest { id: conversation.clone() };
    let upgraded =
        stage.client.conversations.clone().upgrade_conversation(request).await.unwrap().into_inner();
    assert_eq!((upgraded.target_version.as_str(), upgraded.context_revision), ("2.0.0", 1));
    for (index, prompt) in [(2, "three?"), (3, "four?")] {
        stage.api.queue(Reply::text(format!("answer to {prompt}")));
        let heard = stage.query_module(further(&conversation, prompt)).await;
        assert_answer(&heard, &format!("answer to {prompt}"));
        assert_eq!(count(&heard, |event| matches!(event, Event::SessionReset(_))), 0);
        let context = context_of(&stage.request(index));
        assert_eq!(context, upgraded.system_prompt);
        assert!(context.contains("LATTER-role") && !context.contains("FORMER"), "{context}");
    }
    let (old, new) = (context_of(&stage.request(0)), upgraded.system_prompt);
    assert!(old.contains("FORMER-role") && !old.contains("LATTER"), "{old}");
    assert_ne!(old, new);
    let last = stage.request(3);
    let users = last.user_texts();
    assert_eq!(users.len(), 4, "{users:?}");
    assert_eq!(users[..2], [first.turn().message.clone(), second.turn().message.clone()]);
    assert_eq!(last.assistant_texts(), ["answer one", "answer two", "answer to three?"]);
    assert_eq!(stage.api.requests().len(), 4);
    assert_eq!(stage.server.processes().of(Kind::Claude).len(), 1, "the old process is gone");
}
