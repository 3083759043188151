//! One noisy module delays others by a turn at a time, and no more; also after a restart.

use claude_comms_proto::v1::Turn;
use claude_comms_tests::Client;

use super::support::{SOURCES, slow_turns, start_of, submit_of, waited};
use crate::simulated::support::{HANG_ON_REQUEST, completed, first_text, playing_turns, wait};

/// Turns of each module that asks; the first is noisy.
const TURNS: [usize; 3] = [40, 6, 6];
const INSTANCES: usize = 2;

/// All turns with the number of their module, in the order of their starts.
async fn in_order(client: &Client, submitted: Vec<(usize, String)>) -> Vec<(usize, Turn)> {
    let mut turns = Vec::new();
    for (source, id) in submitted {
        let turn = wait(client, &id).await;
        completed(&turn);
        turns.push((source, turn));
    }
    turns.sort_by_key(|(_, turn)| start_of(turn));
    turns
}

#[tokio::test]
async fn a_noisy_module_gets_its_share_and_no_more_while_others_wait() {
    let server = playing_turns(&slow_turns(60))
        .configuration(format!("pool: {{ max_instances: {INSTANCES} }}\n"))
        .start()
        .await;
    let client = server.client().await;
    let mut submitted = Vec::new();
    for (source, count) in TURNS.into_iter().enumerate() {
        for number in 0..count {
            let turn = submit_of(&client, SOURCES[source], &format!("question {number}")).await;
            submitted.push((source, turn.id));
        }
    }
    let turns = in_order(&client, submitted).await;

    println!("\n| source | turns | mean wait | longest wait | last start |\n|---|---|---|---|---|");
    for (source, name) in SOURCES.iter().enumerate() {
        let of: Vec<(usize, f64)> = turns
            .iter()
            .enumerate()
            .filter(|(_, (own, _))| *own == source)
            .map(|(place, (_, turn))| (place + 1, waited(turn)))
            .collect();
        let mean = of.iter().map(|(_, waited)| waited).sum::<f64>() / of.len() as f64;
        let longest = of.iter().map(|(_, waited)| *waited).fold(0.0, f64::max);
        let (name, count) = (if name.is_empty() { "(none, noisy)" } else { name }, of.len());
        let last = of.last().map_or(0, |(place, _)| *place);
        println!("| {name} | {count} | {mean:.2} s | {longest:.2} s | {last} of {} |", turns.len());
    }

    // From the first start of a quiet module on, until its last: each gets as many as the noisy one, but for what the slots
    // may shift.
    for quiet in 1..TURNS.len() {
        let place = |number: usize| {
            turns.iter().enumerate().filter(|(_, (own, _))| *own == quiet).nth(number).expect("it ran").0
        };
        let (first, last) = (place(0), place(TURNS[quiet] - 1));
        let noisy = turns[first..last].iter().filter(|(own, _)| *own == 0).count();
        assert!(
            noisy <= TURNS[quiet] + INSTANCES,
            "{noisy} noisy turns among {} of {}",
            TURNS[quiet],
            SOURCES[quiet]
        );
    }
    let last_quiet = turns.iter().rposition(|(own, _)| *own != 0).expect("they ran");
    let before = turns.iter().position(|(own, _)| *own != 0).expect("they ran");
    let shared = 3 * TURNS[1] + 2 * INSTANCES;
    assert!(last_quiet - before < shared, "quiet modules ended after {} starts", last_quiet - before);
}

#[tokio::test]
async fn after_a_restart_turns_that_waited_are_still_of_their_module() {
    let mut server =
        playing_turns(HANG_ON_REQUEST).configuration("pool: { max_instances: 1 }\n").start().await;
    let client = server.client().await;
    let conversation = client.new_conversation().await;
    let mut hanging = client.send(&conversation, "hang").await.unwrap();
    first_text(&mut hanging).await;
    let mut submitted = Vec::new();
    for number in 0..8 {
        submitted.push((0, submit_of(&client, "", &format!("noise {number}")).await.id));
    }
    submitted.push((1, submit_of(&client, SOURCES[1], "one question").await.id));
    server.kill9().await;
    server.restart().await;
    let client = server.client().await;
    let turns = in_order(&client, submitted).await;
    let place = turns.iter().position(|(own, _)| *own == 1).expect("it ran");
    assert!(place <= 2, "it came after {place} of another module");
}
