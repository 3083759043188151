//! What is said in one conversation is in no request that the real CLI makes for another: the whole body of each request
//! is looked through, over random interleavings with more conversations than processes and with kills.

use std::collections::BTreeMap;

use claude_comms_proto::v1::{CreateConversationRequest, TurnState};
use claude_comms_tests::{Reply, processes::Kind, seed::Seed};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use super::stage::Stage;
use crate::simulated::isolation::owners;

const INTERLEAVINGS: usize = 20;
const CONVERSATIONS: usize = 2;
const STEPS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_one_conversation_is_in_a_request_of_another() {
    let seed = Seed::new();
    let stage = Stage::with(|builder| builder.configuration("pool: {max_instances: 2}\n")).await;
    // What the model says stays in the history too.
    stage.api.otherwise(Reply::compose(|request| vec![format!("You said: {}", request.last_user_text())]));
    let mut conversations = BTreeMap::new();
    let mut interleavings = JoinSet::new();
    let mut kills = seed.dice(u64::MAX);
    for number in 0..INTERLEAVINGS {
        let mut ids = Vec::new();
        for letter in 0..CONVERSATIONS {
            let owner = format!("{number}x{letter}");
            let system_prompt = format!("You answer for canary-{owner}-0.");
            let request = CreateConversationRequest { system_prompt, ..Default::default() };
            let id = stage
                .client
                .conversations
                .clone()
                .create_conversation(request)
                .await
                .unwrap()
                .into_inner()
                .id;
            conversations.insert(id.clone(), owner.clone());
            ids.push((id, owner));
        }
        if interleavings.len() == 4 {
            interleavings.join_next().await.unwrap().unwrap();
        }
        let claudes = stage.server.processes().of(Kind::Claude);
        if kills.percent(30) && !claudes.is_empty() {
            let pid = i32::try_from(kills.pick(&claudes).pid).unwrap();
            // It may have ended since the look.
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        let (client, mut dice) = (stage.client.clone(), seed.dice(number as u64));
        interleavings.spawn(async move {
            for step in 1..=STEPS {
                let (id, owner) = dice.pick(&ids);
                client.ask(id, format!("Say canary-{owner}-{step}.")).await;
            }
        });
    }
    while let Some(ended) = interleavings.join_next().await {
        ended.unwrap();
    }

    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in stage.api.requests() {
        let body = request.body.to_string();
        let owners = owners(&body);
        assert_eq!(owners.len(), 1, "a request holds words of {owners:?}: {body}");
        let (owner, words) = owners.into_iter().next().unwrap();
        assert!(words >= 2, "system prompt and message are in it: {body}");
        *asked.entry(owner.to_owned()).or_default() += 1;
    }
    assert!(asked.len() > INTERLEAVINGS, "{asked:?}");
    let (mut turns, mut moved) = (0, 0);
    for (id, owner) in &conversations {
        let kept = crate::simulated::turns(&stage.client, id).await;
        for turn in &kept {
            assert!(matches!(turn.state(), TurnState::Completed | TurnState::Failed), "{turn:?}");
            let said = format!("{}{}", turn.text, turn.partial_text);
            assert!(owners(&said).into_keys().all(|other| other == owner), "{turn:?}");
            turns += 1;
        }
        moved += kept.windows(2).filter(|pair| pair[0].instance_id != pair[1].instance_id).count();
    }
    assert_eq!(turns, INTERLEAVINGS * STEPS);
    assert!(moved > 2, "conversations were evicted and resumed");
    println!(
        "isolation: {INTERLEAVINGS} interleavings, {turns} turns, {moved} on another process than before"
    );
}
