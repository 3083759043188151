//! A watcher who is cut off at any event and comes back holds what one holds who never was.

use super::*;

fn event(sequence: u64, what: Event) -> v1::InstanceEvent {
    v1::InstanceEvent { sequence, instance_id: "i".into(), time: None, event: Some(what) }
}

fn state(sequence: u64) -> v1::InstanceEvent {
    event(sequence, Event::StateChanged(v1::InstanceStateChanged { state: 2, previous: 3 }))
}

fn in_turn(sequence: u64, of_turn: u64, at: i32, what: InTurn) -> v1::InstanceEvent {
    let time = Some(prost_types::Timestamp { seconds: 5, nanos: at });
    let turn = v1::TurnEvent { sequence: of_turn, turn_id: "t".into(), time, event: Some(what) };
    v1::InstanceEvent { time, ..event(sequence, Event::Turn(Box::new(turn))) }
}

fn text(offset: u64, text: &str) -> InTurn {
    InTurn::TextDelta(v1::TextDelta { offset, text: text.into() })
}

fn call(id: &str) -> InTurn {
    InTurn::ToolCall(v1::ToolCall { id: id.into(), ..Default::default() })
}

fn stderr(sequence: u64, offset: u64, text: &str) -> v1::InstanceEvent {
    let (text, generation) = (text.into(), 1);
    event(sequence, Event::Stderr(v1::InstanceStderr { text, offset, generation, skipped_bytes: 0 }))
}

fn started() -> v1::InstanceEvent {
    event(3, Event::TurnStarted(v1::InstanceTurnStarted { turn_id: "t".into(), ..Default::default() }))
}

/// All that the server has to say.
fn whole() -> Vec<v1::InstanceEvent> {
    vec![
        state(1),
        event(2, Event::ProcessStarted(v1::InstanceProcessStarted { process_id: 7, generation: 1 })),
        stderr(2, 0, "one\n"),
        started(),
        in_turn(3, 9, 1, InTurn::Started(v1::TurnStarted::default())),
        in_turn(3, 9, 0, text(0, "abc")),
        in_turn(3, 9, 2, call("c1")),
        in_turn(3, 10, 3, InTurn::TextReset(v1::TextReset { reason: "tool_use".into() })),
        in_turn(3, 10, 0, text(0, "xy")),
        stderr(3, 4, "two\n"),
        in_turn(3, 10, 4, call("c2")),
        in_turn(3, 10, 0, text(2, "z")),
    ]
}

/// What it says to who comes back after `seen` of it: later durable events, and the turn and stderr from their beginnings.
fn again(seen: &[v1::InstanceEvent], after: Option<u64>) -> Vec<v1::InstanceEvent> {
    let after = after.unwrap_or(0);
    let live = |event: &v1::InstanceEvent| matches!(event.event, Some(Event::Turn(_) | Event::Stderr(_)));
    assert!(seen.iter().all(|event| event.sequence <= after), "it asked for less than it has");
    let mut events: Vec<_> =
        whole().into_iter().filter(|event| live(event) || event.sequence > after).collect();
    // Text that is void by then is not told again.
    let is_reset = |event: &v1::InstanceEvent| matches!(&event.event, Some(Event::Turn(turn)) if matches!(turn.event, Some(InTurn::TextReset(_))));
    if seen.iter().any(is_reset) {
        events.retain(|event| *event != in_turn(3, 9, 0, text(0, "abc")));
    }
    // What one wake of the server joins is another piece than before.
    if let Some(Event::Stderr(piece)) = events
        .iter_mut()
        .rev()
        .find_map(|event| event.event.as_mut().filter(|event| matches!(event, Event::Stderr(_))))
    {
        (piece.offset, piece.text) = (0, "one\ntwo\n".into());
    }
    events
}

fn is_text(event: &v1::InstanceEvent) -> bool {
    matches!(&event.event, Some(Event::Stderr(_)))
        || matches!(&event.event, Some(Event::Turn(turn)) if matches!(turn.event, Some(InTurn::TextDelta(_))))
}

#[test]
fn nothing_is_lost_or_given_twice_wherever_the_connection_is_cut() {
    for cut in 0..=whole().len() {
        let mut watched = Watched::new("i".into(), Some(0));
        let (mut given, all) = (VecDeque::new(), whole());
        all[..cut].iter().for_each(|event| watched.take(event.clone(), &mut given));
        let request = watched.request();
        again(&all[..cut], request.after_sequence)
            .into_iter()
            .for_each(|event| watched.take(event, &mut given));
        let (texts, others): (Vec<_>, Vec<_>) = given.into_iter().partition(is_text);
        let expected: Vec<_> = whole().into_iter().filter(|event| !is_text(event)).collect();
        assert_eq!(others, expected, "cut at {cut}");
        let (mut text, mut errors) = (String::new(), String::new());
        for event in texts {
            match event.event {
                Some(Event::Stderr(piece)) => {
                    assert_eq!(piece.offset, errors.len() as u64, "cut at {cut}");
                    errors.push_str(&piece.text);
                }
                Some(Event::Turn(turn)) => match turn.event {
                    Some(InTurn::TextDelta(delta)) => text.push_str(&delta.text),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((text.as_str(), errors.as_str()), ("abcxyz", "one\ntwo\n"), "cut at {cut}");
    }
}

#[test]
fn who_begins_now_is_told_the_state_and_the_rest_of_the_text() {
    let mut watched = Watched::new("name".into(), None);
    let mut given = VecDeque::new();
    watched.take(state(3), &mut given);
    watched.take(in_turn(3, 10, 0, text(40, "rest")), &mut given);
    assert_eq!(given, [state(3), in_turn(3, 10, 0, text(40, "rest"))]);
    assert_eq!((watched.request().id.as_str(), watched.request().after_sequence), ("i", Some(3)));
}
