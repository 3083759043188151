//! A disk without room: what is promised stands, what cannot be promised is refused, and once there is room all goes on.

use claude_comms_proto::v1::{CancelTurnRequest, TurnState, WaitTurnRequest};
use claude_comms_tests::{PATIENCE, TestServer, client::reason, eventually, report, within};
use tonic::Code;

use super::disk::Disk;
use crate::simulated::support::{
    HANG_ON_REQUEST, completed, get, scenario, submit_running, try_submit, turns,
};

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_promised_and_nothing_promised_is_lost() {
    let builder = TestServer::simulated();
    let file = builder.world().root().join("scenario.yaml");
    std::fs::write(&file, HANG_ON_REQUEST).unwrap();
    assert!(scenario("storm").exists());
    let disk = match Disk::mount(&builder.world().data_dir(), 32).await {
        Ok(disk) => disk,
        Err(why) => return report::skipped("a full disk", &why),
    };
    // The disk is unmounted before the server's world is removed.
    let (mut server, disk) = (builder.scenario(&file).start().await, disk);
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let before = client.ask(&conversation, "remember me").await;
    completed(before.turn());
    let other = client.new_conversation().await;
    let hanging = submit_running(&client, &other, "hang").await;

    disk.fill();
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for number in 0..50 {
        match try_submit(&client, &conversation, &format!("full {number}")).await {
            Ok(turn) => accepted.push(turn.id),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert!(!reason(&status).is_empty() && !status.message().is_empty(), "{status:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the disk is full");
    // What is there can be read, and no call waits for ever.
    assert_eq!(&get(&client, before.turn_id()).await, before.turn());
    let cancel = CancelTurnRequest { id: hanging.turn_id().into() };
    let cancelled = within("an answer", client.conversations.clone().cancel_turn(cancel)).await;
    let doctor = server.cli(&["doctor"]).await;
    assert_ne!(doctor.code, Some(0), "an operator is told: {}", doctor.stdout);

    disk.make_room();
    server.kill9().await;
    server.processes().await_gone().await;
    server.restart().await;
    let client = server.client().await;
    for id in &accepted {
        let wait = WaitTurnRequest { id: id.clone() };
        let turn = within("an end", client.conversations.clone().wait_turn(wait)).await.unwrap().into_inner();
        assert!(matches!(turn.state(), TurnState::Completed | TurnState::Failed), "{turn:?}");
    }
    let hanging = eventually(PATIENCE, "the turn that hung has ended", async || {
        let turn = get(&client, hanging.turn_id()).await;
        turn.end_time.is_some().then_some(turn)
    })
    .await;
    if let Ok(told) = cancelled {
        let told = told.into_inner();
        assert!(told.end_time.is_none() || told == hanging, "an end that was told is kept: {told:?}");
    }
    let text = completed(client.ask(&conversation, "and?").await.turn()).to_owned();
    assert!(text.contains("The first asked: \"remember me\"") || accepted.is_empty(), "{text}");
    assert_eq!(turns(&client, &conversation).await.len(), 2 + accepted.len());
    drop(disk);
}
