//! Turns: show, wait, cancel, list.

use claude_comms_client::v1;

use super::{PAGE_SIZE, pages, stream};
use crate::{
    args::ListTurns,
    context::Context,
    exit::{Exit, Failure},
    ids,
    output::{View as _, printable, short_id, views},
};

pub(super) async fn show(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::turn(context, text).await?;
    let turn = context.patience.wait(context.client.get_turn(id)).await?;
    context.ui.resource_as(&turn, || {
        // What Claude was sent in place of the prompt is long and mostly the same from turn to turn.
        if context.ui.verbose { turn.details().block("message", &turn.message) } else { turn.details() }
    })?;
    Ok(Exit::Done)
}

/// Ctrl-C and `--timeout` end the wait alone: whoever started the turn may still want its answer.
pub(super) async fn wait(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::turn(context, text).await?;
    let turn =
        context.patience.wait(context.client.wait_turn(id.as_str())).await.map_err(
            |failure| match failure.exit {
                Exit::TimedOut | Exit::Interrupted => failure.hint(stream::goes_on(&id)),
                _ => failure,
            },
        )?;
    context.ui.resource(&turn)?;
    stream::judge(context.ui, &turn)
}

pub(super) async fn cancel(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::turn(context, text).await?;
    let turn = context.patience.wait(context.client.cancel_turn(id)).await?;
    context.ui.resource(&turn)?;
    Ok(Exit::Done)
}

pub(super) async fn list(context: &mut Context<'_>, filter: ListTurns) -> Result<Exit, Failure> {
    let conversation_id = match &filter.conversation {
        Some(text) => ids::conversation(context, text).await?,
        None => String::new(),
    };
    let module = filter.module.unwrap_or_default();
    let request_is_plain = filter.states.is_empty() && filter.since.is_none() && module.is_empty();
    let request = v1::ListTurnsRequest {
        conversation_id: conversation_id.clone(),
        states: filter.states.into_iter().map(Into::into).collect(),
        since: filter.since,
        module: module.clone(),
        ..Default::default()
    };
    let list = v1::ListTurnsResponse { turns: all(context, request).await?, next_page_token: String::new() };
    context.ui.list(&list, || views::turns(&list.turns))?;
    if list.turns.is_empty() {
        let filtered = !(request_is_plain && conversation_id.is_empty());
        let of = if conversation_id.is_empty() {
            String::new()
        } else {
            format!(" of {}", short_id(&conversation_id))
        };
        let with = if module.is_empty() { String::new() } else { format!(" with {}", printable(&module)) };
        context.ui.note(&if filtered { format!("no turn{of}{with} fits") } else { "no turn yet".to_owned() });
    }
    Ok(Exit::Done)
}

/// Every page of a list of turns.
pub(super) async fn all(
    context: &mut Context<'_>,
    filter: v1::ListTurnsRequest,
) -> Result<Vec<v1::Turn>, Failure> {
    pages(async |page_token| {
        let request = v1::ListTurnsRequest { page_size: PAGE_SIZE, page_token, ..filter.clone() };
        let page = context.patience.wait(context.client.list_turns(request)).await?;
        Ok((page.turns, page.next_page_token))
    })
    .await
}
