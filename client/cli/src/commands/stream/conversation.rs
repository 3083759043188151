//! A conversation as it goes on: each turn under a head line of its own, its text as it comes. Ends with Ctrl-C or
//! `--timeout`; what is watched goes on.

use claude_comms_client::{ConversationEvent, Error, TurnUpdate, v1};

use super::{Link, Show, screen::Screen};
use crate::{
    args::{Format, WatchConversation},
    context::{Context, expired, timed_out},
    exit::{Exit, Failure},
    ids,
    output::{Tone, printable, short_id},
};

pub(crate) async fn watch(context: &mut Context<'_>, watch: WatchConversation) -> Result<Exit, Failure> {
    let conversation_id = ids::conversation(context, &watch.target.id).await?;
    let request =
        v1::WatchConversationRequest { conversation_id, after_sequence: watch.from, text_offset: 0 };
    let mut stream = context.patience.wait(context.client.watch_conversation(request)).await?;
    let limit = context.patience.limit();
    let mut screen = Screen::new(context.ui, Show::Answer);
    let mut link = Link::new(stream.connection(), context.client.reconnect_timeout());
    // The turn whose head line was written last.
    let mut shown = String::new();
    context.ui.note(&format!("watching after event {}; Ctrl-C leaves", stream.sequence()));
    loop {
        tokio::select! {
            event = stream.next() => {
                let event = event.ok_or_else(|| Error::Protocol("the watch ended by itself".into()))?;
                let event = event.inspect_err(|_| screen.end_line())?;
                link.tell(&mut screen);
                if context.ui.format == Format::Table {
                    show(context, &mut screen, &mut shown, event).await?;
                } else {
                    context.ui.event(&v1::ConversationEvent::from(event))?;
                }
            }
            () = link.changed() => link.tell(&mut screen),
            () = context.patience.interrupted() => {
                screen.end_line();
                return Err(Failure::new(Exit::Interrupted, ""));
            }
            () = expired(limit) => {
                screen.end_line();
                return Err(timed_out(limit));
            }
        }
    }
}

/// Shows an event for people.
async fn show<'a>(
    context: &Context<'a>,
    screen: &mut Screen<'a>,
    shown: &mut String,
    event: ConversationEvent,
) -> Result<(), Failure> {
    let event = event.turn;
    let (id, other) = (short_id(&event.turn_id).to_owned(), event.turn_id != *shown);
    match &event.update {
        TurnUpdate::Accepted { .. } => return Ok(()),
        TurnUpdate::Queued { position, .. } if other => {
            // One that waits for a process alone is about to start.
            if *position > 0 {
                screen.note(&format!("turn {id} waits; turns before it: {position}"));
            }
            return Ok(());
        }
        _ => {}
    }
    if other {
        screen.end_line();
        *screen = Screen::new(context.ui, Show::Answer);
        shown.clone_from(&event.turn_id);
        let paint = context.ui.out();
        let mut lines = vec![paint.paint(Tone::Faint, &format!("── turn {id}"))];
        // The events do not carry the prompt. A watch without it is still one.
        if let Ok(turn) = context.client.get_turn(event.turn_id.as_str()).await {
            let prompt = printable(&turn.prompt);
            lines.extend(prompt.lines().map(|line| paint.paint(Tone::Strong, &format!("> {line}"))));
        }
        context.ui.write(&(lines.join("\n") + "\n\n"))?;
    }
    if let Some(turn) = screen.show(event)? {
        if let Some(failure) = &turn.failure {
            screen.note(&format!("{}: {}", failure.reason, printable(&failure.message)));
        }
        context.ui.write("\n")?;
        shown.clear();
    }
    Ok(())
}
