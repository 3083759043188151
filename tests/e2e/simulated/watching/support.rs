//! A watcher of an instance who holds its stream to the contract's word. It checks nothing else.

use claude_comms_proto::v1::{
    InstanceEvent, InstanceState, MonitorInstanceRequest, QueryInstanceRequest, StopInstanceRequest,
    StopMode, Turn, instance_event::Event,
};
use claude_comms_tests::{Client, client::Heard, within};
use tonic::{Status, Streaming};

/// A watcher, and all that it saw.
pub(super) struct Watcher {
    stream: Streaming<InstanceEvent>,
    /// The last durable event; `None` until a watcher who begins now is told.
    last: Option<u64>,
    /// Every event, in order.
    pub(super) events: Vec<InstanceEvent>,
}

/// Watches an instance.
pub(super) async fn try_monitor(client: &Client, id: &str, after: Option<u64>) -> Result<Watcher, Status> {
    let request = MonitorInstanceRequest { id: id.into(), after_sequence: after };
    let stream = client.instances.clone().monitor_instance(request).await?.into_inner();
    Ok(Watcher { stream, last: after, events: Vec::new() })
}

/// As [`try_monitor`], where nothing may be refused.
pub(super) async fn monitor(client: &Client, id: &str, after: Option<u64>) -> Watcher {
    try_monitor(client, id, after).await.expect("the instance can be watched")
}

impl Watcher {
    /// The next event. A durable one has the next number, a live one that of the durable one before it.
    pub(super) async fn try_next(&mut self) -> Result<Option<InstanceEvent>, Status> {
        let Some(event) = within("an event of the instance", self.stream.message()).await? else {
            return Ok(None);
        };
        let expected = match self.last {
            Some(last) if is_durable(&event) => last + 1,
            Some(last) => last,
            None => event.sequence,
        };
        assert_eq!(event.sequence, expected, "{event:?} after {:#?}", self.events);
        self.last = Some(event.sequence);
        self.events.push(event.clone());
        Ok(Some(event))
    }

    pub(super) async fn next(&mut self) -> Option<InstanceEvent> {
        self.try_next().await.expect("the stream goes on")
    }

    /// Reads until an event fits.
    pub(super) async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> InstanceEvent {
        while let Some(event) = self.next().await {
            if event.event.as_ref().is_some_and(&fits) {
                return event;
            }
        }
        panic!("the instance ended without it: {:#?}", self.events);
    }

    /// Reads until that many turns have ended and the instance waits.
    pub(super) async fn until_idle_after(&mut self, turns: usize) {
        for _ in 0..turns {
            self.until(|event| matches!(event, Event::TurnEnded(_))).await;
        }
        self.until(|event| is_state(event, InstanceState::Idle)).await;
    }

    /// Reads to the end of the stream.
    pub(super) async fn finish(&mut self) -> &[InstanceEvent] {
        while self.next().await.is_some() {}
        &self.events
    }

    pub(super) fn last(&self) -> u64 {
        self.last.expect("it was told where it is")
    }

    pub(super) fn durable(&self) -> Vec<InstanceEvent> {
        self.events.iter().filter(|event| is_durable(event)).cloned().collect()
    }
}

pub(super) fn is_durable(event: &InstanceEvent) -> bool {
    !matches!(event.event, Some(Event::Turn(_) | Event::Stderr(_) | Event::Health(_)))
}

pub(super) fn is_state(event: &Event, state: InstanceState) -> bool {
    matches!(event, Event::StateChanged(change) if change.state() == state)
}

/// Asks an instance and hears its turn to the end.
pub(super) async fn ask(client: &Client, id: &str, prompt: &str) -> Turn {
    let request = QueryInstanceRequest { id: id.into(), prompt: prompt.into(), ..Default::default() };
    let stream = client.instances.clone().query_instance(request).await.expect("the turn is accepted");
    Heard::new(stream.into_inner()).to_end().await.clone()
}

/// Ends an instance at once.
pub(super) async fn stop(client: &Client, id: &str) {
    let request = StopInstanceRequest { id: id.into(), mode: StopMode::Now.into() };
    within("the end of an instance", client.instances.clone().stop_instance(request)).await.unwrap();
}

/// What happened, in words.
pub(super) fn words(events: &[InstanceEvent]) -> Vec<String> {
    use claude_comms_proto::v1::turn_event::Event as InTurn;
    let mut words: Vec<String> = Vec::new();
    for event in events {
        let word = match event.event.as_ref().expect("an event says what happened") {
            Event::StateChanged(change) => change.state().as_str_name().replace("INSTANCE_STATE_", ""),
            Event::ProcessStarted(process) => format!("process {}", process.generation),
            Event::ProcessExited(exit) => format!("exit {}", exit.code),
            Event::TurnStarted(turn) => format!("turn, try {}", turn.attempt),
            Event::TurnEnded(turn) => turn.state().as_str_name().replace("TURN_STATE_", "turn "),
            Event::Health(_) => continue,
            Event::Stderr(stderr) => format!("stderr {:?}", stderr.text),
            Event::Turn(turn) => match turn.event.as_ref().expect("it says what happened") {
                InTurn::TextDelta(_) => "text".to_owned(),
                InTurn::ToolCall(call) => format!("calls {}", call.name),
                InTurn::ToolResult(result) => format!("result {}", result.content_json),
                InTurn::Retrying(retrying) => format!("retry {}", retrying.reason),
                InTurn::TextReset(reset) => format!("reset {}", reset.reason),
                InTurn::Completed(_) => "completed".to_owned(),
                _ => continue,
            },
        };
        // How text is cut into pieces is no promise.
        if word != "text" || words.last().is_none_or(|last| last != "text") {
            words.push(word);
        }
    }
    words
}
