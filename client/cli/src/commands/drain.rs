//! The end of a server: asked for, and watched until it is there.

use std::time::Duration;

use claude_comms_client::{Error, v1};

use crate::{
    args::Drain,
    context::Context,
    exit::{Exit, Failure},
    output::short_id,
};

/// Between two looks at what still runs. There is no event for it, and a server that drains is not busy.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// So many running turns are named.
const NAMED: usize = 5;

pub(super) async fn run(context: &mut Context<'_>, how: &Drain) -> Result<Exit, Failure> {
    let info = context.patience.wait(context.client.drain(how.drain_timeout)).await?;
    context.ui.resource(&info)?;
    if how.no_wait {
        return Ok(Exit::Done);
    }
    match watch(context, &info).await {
        Err(failure) if matches!(failure.exit, Exit::TimedOut | Exit::Interrupted) => {
            Err(failure.hint("the server goes on draining"))
        }
        other => other,
    }
}

/// Says what still runs, whenever that changes, until the server is gone.
async fn watch(context: &mut Context<'_>, first: &v1::ServerInfo) -> Result<Exit, Failure> {
    let mut said = String::new();
    loop {
        let client = context.client.clone();
        let looked = context
            .patience
            .wait(async move {
                match look(&client, first).await {
                    // Gone, or about to be.
                    Err(Error::NoServer { .. } | Error::Unavailable(_) | Error::Draining(_)) => Ok(None),
                    other => other,
                }
            })
            .await?;
        let Some(words) = looked else {
            context.ui.note("the server is gone");
            return Ok(Exit::Done);
        };
        if words != said {
            context.ui.note(&words);
            said = words;
        }
        context
            .patience
            .wait(async {
                tokio::time::sleep(LOOK_AGAIN).await;
                Ok(())
            })
            .await?;
    }
}

/// What still runs, in words; `None` once another server is there in its place.
async fn look(client: &claude_comms_client::Client, first: &v1::ServerInfo) -> Result<Option<String>, Error> {
    let info = client.server_info().await?;
    if (info.incarnation, &info.server_id) != (first.incarnation, &first.server_id) {
        return Ok(None);
    }
    let request = v1::ListTurnsRequest {
        states: vec![v1::TurnState::Running.into()],
        page_size: NAMED as i32,
        ..Default::default()
    };
    let named = client.list_turns(request).await?.turns;
    Ok(Some(words(&info, &named)))
}

fn words(info: &v1::ServerInfo, named: &[v1::Turn]) -> String {
    if info.running_turns == 0 {
        return "no turn runs any more; the processes end".to_owned();
    }
    let mut names: Vec<_> = named.iter().map(|turn| short_id(&turn.id)).collect();
    names.truncate(info.running_turns as usize);
    let more = if info.running_turns as usize > names.len() { ", ..." } else { "" };
    let waiting = match info.queued_turns {
        0 => String::new(),
        waiting => format!("; {waiting} in the queue will run after the next start"),
    };
    format!("running turns: {} ({}{more}){waiting}", info.running_turns, names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_still_runs_is_counted_and_named() {
        let turn = |id: &str| v1::Turn { id: id.to_owned(), ..Default::default() };
        let info = v1::ServerInfo { running_turns: 3, queued_turns: 1, ..Default::default() };
        assert_eq!(
            words(&info, &[turn("019ab000-0000-7000-8000-00000000abcd")]),
            "running turns: 3 (0000abcd, ...); 1 in the queue will run after the next start"
        );
        let info = v1::ServerInfo { running_turns: 1, ..Default::default() };
        assert_eq!(
            words(&info, &[turn("019ab000-0000-7000-8000-00000000abcd")]),
            "running turns: 1 (0000abcd)"
        );
    }
}
