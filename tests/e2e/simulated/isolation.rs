//! What is said in one conversation is never in a request of another, however their turns interleave, whichever process
//! serves them, and whatever dies meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use claude_comms_proto::v1::{CreateConversationRequest, Turn, TurnState};
use claude_comms_tests::{
    Client, TestServer, processes,
    seed::{Dice, Seed},
};
use tokio::task::JoinSet;

use super::{
    limits::support::{figure, start},
    support::{playing, submit, turns, wait},
};

const INTERLEAVINGS: usize = 500;
/// Those of conversations that begin on spares.
const ON_SPARES: usize = 100;
/// Groups of conversations at a time.
const SIDE_BY_SIDE: usize = 5;
const CONVERSATIONS: usize = 2;
const STEPS: usize = 4;
const MARK: &str = "canary-";

/// A word that is said in one conversation and nowhere else.
fn canary(conversation: &str, what: usize) -> String {
    format!("{MARK}{conversation}-{what}.")
}

/// The owners of all canaries in a text, each with how often it is there.
pub(crate) fn owners(text: &str) -> BTreeMap<&str, usize> {
    let mut owners = BTreeMap::new();
    for piece in text.split(MARK).skip(1) {
        let word = piece.split_once('.').expect("a canary is whole").0;
        let owner = word.rsplit_once('-').expect("a canary has a number").0;
        *owners.entry(owner).or_default() += 1;
    }
    owners
}

/// What one interleaving did.
#[derive(Debug, Default)]
struct Seen {
    completed: usize,
    failed: usize,
    /// Turns of a conversation on another instance than the one before: it was evicted and resumed.
    moved: usize,
}

struct Talk {
    id: String,
    owner: String,
    prompts: BTreeMap<String, usize>,
}

async fn new_talk(client: &Client, owner: String) -> Talk {
    let system_prompt = format!("You answer for {}", canary(&owner, 0));
    let request = CreateConversationRequest { system_prompt, ..Default::default() };
    let created = client.conversations.clone().create_conversation(request).await.unwrap().into_inner();
    Talk { id: created.id, owner, prompts: BTreeMap::new() }
}

/// Kills one of the Claudes that run now, whosever it is.
fn kill_one(server: &processes::Processes, dice: &mut Dice) {
    let claudes = server.claudes();
    if claudes.is_empty() {
        return;
    }
    let pid = i32::try_from(dice.pick(&claudes).pid).unwrap();
    // It may have ended since the look.
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    );
}

/// The requests of one talk, as its answers recite them, hold its own canaries alone.
fn check(talk: &Talk, kept: &[Turn], seen: &mut Seen) {
    assert_eq!(kept.len(), talk.prompts.len(), "each accepted turn is kept once");
    let mut instance = "";
    for turn in kept {
        let number = talk.prompts[&turn.id];
        assert!(turn.prompt.contains(&canary(&talk.owner, number)), "{turn:?}");
        if !instance.is_empty() && !turn.instance_id.is_empty() && instance != turn.instance_id {
            seen.moved += 1;
        }
        instance = &turn.instance_id;
        let said = format!("{}{}", turn.text, turn.partial_text);
        let strangers: Vec<_> = owners(&said).into_keys().filter(|owner| *owner != talk.owner).collect();
        assert!(strangers.is_empty(), "a request of {} holds words of {strangers:?}: {turn:?}", talk.owner);
        match turn.state() {
            TurnState::Completed => {
                for number in [0, number] {
                    assert!(turn.text.contains(&canary(&talk.owner, number)), "its own is there: {turn:?}");
                }
                seen.completed += 1;
            }
            TurnState::Failed => {
                let reason = &turn.failure.as_ref().unwrap().reason;
                assert!(["PROCESS_DIED", "SPAWN_FAILED"].contains(&reason.as_str()), "{turn:?}");
                seen.failed += 1;
            }
            other => panic!("{other:?} is no end: {turn:?}"),
        }
    }
}

/// One random order of turns and deaths.
async fn interleave(client: Client, all: processes::Processes, number: usize, mut dice: Dice) -> Seen {
    let mut talks = Vec::new();
    for letter in 0..CONVERSATIONS {
        talks.push(new_talk(&client, format!("{number}x{letter}")).await);
    }
    let mut waiting = Vec::new();
    for step in 1..=STEPS {
        let talk = &mut talks[dice.below(CONVERSATIONS)];
        let manner = match dice.below(20) {
            0 => " and falters",
            1 => " and breaks",
            _ => "",
        };
        let turn = submit(&client, &talk.id, &format!("Say {}{manner}", canary(&talk.owner, step))).await;
        talk.prompts.insert(turn.id.clone(), step);
        waiting.push(turn.id);
        if dice.percent(8) {
            kill_one(&all, &mut dice);
        }
        if dice.percent(50) {
            for turn in waiting.drain(..) {
                wait(&client, &turn).await;
            }
        }
    }
    for turn in waiting {
        wait(&client, &turn).await;
    }
    let mut seen = Seen::default();
    for talk in &talks {
        check(talk, &turns(&client, &talk.id).await, &mut seen);
    }
    seen
}

/// What the CLIs wrote of a conversation holds its own canaries alone.
fn check_transcripts(server: &TestServer) -> usize {
    let mut checked = BTreeSet::new();
    for entry in std::fs::read_dir(server.data_dir().join("transcripts")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let owners = owners(&text);
        assert_eq!(owners.len(), 1, "{} holds words of {owners:?}", path.display());
        let owner = owners.into_keys().next().unwrap().to_owned();
        assert!(checked.insert(owner), "two sessions of one conversation: {}", path.display());
    }
    checked.len()
}

/// Plays so many of them and checks that nothing crossed.
async fn play(server: &TestServer, interleavings: usize) -> Seen {
    let seed = Seed::new();
    let client = server.client().await;
    let mut running = JoinSet::new();
    let mut all = Seen::default();
    for number in 0..interleavings {
        if running.len() == SIDE_BY_SIDE {
            add(&mut all, running.join_next().await.unwrap().unwrap());
        }
        let dice = seed.dice(number as u64);
        running.spawn(interleave(client.clone(), server.processes(), number, dice));
    }
    while let Some(seen) = running.join_next().await {
        add(&mut all, seen.unwrap());
    }
    assert_eq!(all.completed + all.failed, interleavings * STEPS);
    assert!(all.completed > interleavings * STEPS / 2, "most turns are answered: {all:?}");
    let sessions = check_transcripts(server);
    assert!(sessions > interleavings / 2, "most conversations have a session: {sessions}");
    println!("isolation: {interleavings} interleavings, {all:?}, {sessions} sessions");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_one_conversation_is_in_a_request_of_another() {
    let server = playing("recite").configuration("pool: {max_instances: 4}\n").start().await;
    let all = play(&server, INTERLEAVINGS).await;
    assert!(all.moved > INTERLEAVINGS / 8, "conversations were evicted and resumed: {all:?}");
    assert!(all.failed > 0, "processes died in answers: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_one_conversation_is_in_a_request_of_another_that_began_on_a_spare() {
    // Idle ones make room at once, so that there are spares again and again.
    let pool = "pool: {max_instances: 12, idle_timeout: 200ms, start_stagger: 1ms}\n";
    let builder = playing("recite").warm_spares(4);
    let (server, _) = start(builder, pool).await;
    play(&server, ON_SPARES).await;
    let used = figure(&server, "claude_comms_spares_total{outcome=\"used\"}").await;
    assert!(used >= 20.0, "conversations began on spares: {used}");
}

fn add(all: &mut Seen, seen: Seen) {
    all.completed += seen.completed;
    all.failed += seen.failed;
    all.moved += seen.moved;
}
