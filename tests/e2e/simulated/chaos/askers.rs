//! The clients of the storm: modules that ask, patiently or not. Each is told what the server promises and enters it into the
//! accounts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use claude_comms_proto::v1::{
    CancelTurnRequest, QueryModuleRequest, SubmitModuleQueryRequest, Turn, TurnEvent, WaitTurnRequest,
    WatchTurnRequest,
};
use claude_comms_tests::{Client, PATIENCE, seed::Dice};
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::accounts::Accounts;

/// Between two tries, as any client would.
const RETRY: Duration = Duration::from_millis(20);
/// Streams that a slow reader holds without reading.
const HELD: usize = 2;
/// Conversations that an asker goes back to.
const CONVERSATIONS: usize = 3;

/// How turns go, and in how many of a hundred; see `storm.yaml`.
const MANNERS: [(&str, usize); 14] = [
    ("[dies early]", 4),
    ("[dies late]", 3),
    ("[exits well]", 2),
    ("[hangs]", 2),
    ("[mute]", 1),
    ("[garbage]", 4),
    ("[broken]", 2),
    ("[long]", 4),
    ("[huge]", 1),
    ("[slow]", 8),
    ("[refused]", 3),
    ("[tool]", 4),
    ("[grandchild]", 2),
    ("[noise]", 1),
];

/// One who asks until told to stop.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) accounts: Accounts,
    pub(super) source: String,
    /// Asks for trouble, and does not always stay to hear.
    pub(super) wild: bool,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) dice: Dice,
    pub(super) conversations: Vec<String>,
    pub(super) held: Vec<Streaming<TurnEvent>>,
}

impl Asker {
    pub(super) async fn ask_until_stopped(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let question = self.question();
            match if self.wild { self.dice.below(10) } else { 9 } {
                0 => self.leave(question).await,
                1 => self.cancel(question).await,
                2 => self.read_slowly(question).await,
                _ => self.insist(question).await,
            }
        }
        for mut stream in self.held {
            // It may break with its server; it must not stay silent.
            let rest = async { while let Ok(Some(_)) = stream.message().await {} };
            tokio::time::timeout(PATIENCE, rest).await.expect("a slow reader's stream ends");
        }
    }

    fn question(&mut self) -> QueryModuleRequest {
        let mut manner = "";
        if self.wild {
            let mut left = self.dice.below(100);
            for (name, percent) in MANNERS {
                if left < percent {
                    manner = name;
                    break;
                }
                left -= percent;
            }
        }
        let again = !self.conversations.is_empty() && self.dice.percent(70);
        QueryModuleRequest {
            source: self.source.clone(),
            target: "desk".into(),
            prompt: format!("Question {} {manner}", self.dice.below(1000)),
            conversation_id: if again { self.dice.pick(&self.conversations).clone() } else { String::new() },
            request_id: Uuid::new_v4().to_string(),
            ..Default::default()
        }
    }

    fn remember(&mut self, conversation: &str) {
        if !self.conversations.iter().any(|known| known == conversation) {
            self.conversations.push(conversation.to_owned());
            if self.conversations.len() > CONVERSATIONS {
                self.conversations.remove(0);
            }
        }
    }

    async fn submit(&mut self, question: &QueryModuleRequest) -> Result<Turn, Status> {
        let question = question.clone();
        let request = SubmitModuleQueryRequest {
            source: question.source,
            target: question.target,
            prompt: question.prompt,
            conversation_id: question.conversation_id,
            request_id: question.request_id.clone(),
            ..Default::default()
        };
        let mut modules = self.client.modules.clone();
        let submitted = tokio::time::timeout(PATIENCE, modules.submit_module_query(request)).await;
        let turn =
            submitted.expect("a submission is answered").inspect_err(|why| self.accounts.refused(why))?;
        let turn = turn.into_inner();
        self.accounts.accepted(&self.source, &question.request_id, &turn.id);
        self.remember(&turn.conversation_id);
        Ok(turn)
    }

    /// Asks until the turn has ended, whatever happens meanwhile.
    async fn insist(&mut self, question: QueryModuleRequest) {
        let begin = Instant::now();
        loop {
            if let Ok(turn) = self.submit(&question).await {
                let wait = WaitTurnRequest { id: turn.id };
                let mut conversations = self.client.conversations.clone();
                let ended = tokio::time::timeout(PATIENCE, conversations.wait_turn(wait)).await;
                match ended.expect("a turn ends in its time") {
                    Ok(_) => return self.accounts.ended(&self.source, begin.elapsed()),
                    Err(why) => self.accounts.refused(&why),
                }
            }
            tokio::time::sleep(RETRY).await;
            assert!(begin.elapsed() < 3 * PATIENCE, "{} is not served: {question:?}", self.source);
        }
    }

    async fn stream(&mut self, question: &QueryModuleRequest) -> Option<Streaming<TurnEvent>> {
        let mut modules = self.client.modules.clone();
        let asked = tokio::time::timeout(PATIENCE, modules.query_module(question.clone())).await;
        match asked.expect("a question is answered") {
            Ok(stream) => Some(stream.into_inner()),
            Err(why) => {
                self.accounts.refused(&why);
                tokio::time::sleep(RETRY).await;
                None
            }
        }
    }

    /// Hears the first event and hangs up.
    async fn leave(&mut self, question: QueryModuleRequest) {
        let Some(mut stream) = self.stream(&question).await else { return };
        if let Ok(Ok(Some(event))) = tokio::time::timeout(PATIENCE, stream.message()).await {
            self.accounts.accepted(&self.source, &question.request_id, &event.turn_id);
        }
    }

    /// Hears some events, then ends the turn.
    async fn cancel(&mut self, question: QueryModuleRequest) {
        let begin = Instant::now();
        let Ok(turn) = self.submit(&question).await else { return tokio::time::sleep(RETRY).await };
        let events = self.dice.below(6);
        let watch = WatchTurnRequest { turn_id: turn.id.clone(), ..Default::default() };
        if let Ok(stream) = self.client.conversations.clone().watch_turn(watch).await {
            let mut stream = stream.into_inner();
            for _ in 0..events {
                let event = tokio::time::timeout(PATIENCE, stream.message()).await;
                if !matches!(event.expect("a watched turn goes on"), Ok(Some(_))) {
                    break;
                }
            }
        }
        let cancel = CancelTurnRequest { id: turn.id };
        let mut conversations = self.client.conversations.clone();
        let cancelled = tokio::time::timeout(PATIENCE, conversations.cancel_turn(cancel)).await;
        match cancelled.expect("a cancelled turn ends in its time") {
            Ok(_) => self.accounts.ended(&self.source, begin.elapsed()),
            // It goes on, and ends by itself.
            Err(why) => self.accounts.refused(&why),
        }
    }

    /// Hears the first event and reads no more for a while.
    async fn read_slowly(&mut self, question: QueryModuleRequest) {
        let Some(mut stream) = self.stream(&question).await else { return };
        if let Ok(Ok(Some(event))) = tokio::time::timeout(PATIENCE, stream.message()).await {
            self.accounts.accepted(&self.source, &question.request_id, &event.turn_id);
            self.held.push(stream);
        }
        if self.held.len() > HELD {
            let mut oldest = self.held.remove(0);
            let rest = async { while let Ok(Some(_)) = oldest.message().await {} };
            tokio::time::timeout(PATIENCE, rest).await.expect("a slow reader's stream ends");
        }
    }
}
