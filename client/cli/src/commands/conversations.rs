//! Conversations: create, list, show, continue.

use claude_comms_client::v1;

use super::{
    PAGE_SIZE, input, pages,
    stream::{self, Show},
    turns,
};
use crate::{
    args::{CreateConversation, Format, Question},
    context::Context,
    exit::{Exit, Failure},
    ids,
    output::{Tone, View as _, duration, module_views, printable, short_id, span, state, views},
    suggest::command,
};

pub(super) async fn create(context: &mut Context<'_>, create: CreateConversation) -> Result<Exit, Failure> {
    let request = v1::CreateConversationRequest {
        title: create.title.unwrap_or_default(),
        system_prompt: create.system_prompt.unwrap_or_default(),
        model: create.model.unwrap_or_default(),
        labels: create.labels.into_iter().collect(),
        source_module: create.from.unwrap_or_default(),
        target_module: create.to.unwrap_or_default(),
        context_overrides: None,
    };
    let conversation = context.patience.wait(context.client.create_conversation(request)).await?;
    context.ui.resource(&conversation)?;
    Ok(Exit::Done)
}

pub(super) async fn list(context: &mut Context<'_>, module: Option<String>) -> Result<Exit, Failure> {
    let module = module.unwrap_or_default();
    let conversations = pages(async |page_token| {
        let request = v1::ListConversationsRequest {
            page_size: PAGE_SIZE,
            page_token,
            module: module.clone(),
            ..Default::default()
        };
        let page = context.patience.wait(context.client.list_conversations(request)).await?;
        Ok((page.conversations, page.next_page_token))
    })
    .await?;
    let list = v1::ListConversationsResponse { conversations, next_page_token: String::new() };
    context.ui.list(&list, || views::conversations(&list.conversations))?;
    if list.conversations.is_empty() {
        context.ui.note(&if module.is_empty() {
            format!("no conversation yet; make one with: {}", command("create-conversation"))
        } else {
            format!("no conversation with {}", printable(&module))
        });
    }
    Ok(Exit::Done)
}

pub(crate) async fn show(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::conversation(context, text).await?;
    let conversation = context.patience.wait(context.client.get_conversation(id)).await?;
    if context.ui.format != Format::Table {
        context.ui.resource(&conversation)?;
        return Ok(Exit::Done);
    }
    let filter = v1::ListTurnsRequest { conversation_id: conversation.id.clone(), ..Default::default() };
    let turns = turns::all(context, filter).await?;
    context.ui.write(&conversation.details().render(context.ui.out()))?;
    for turn in turns {
        // Lists cut long texts; to read a conversation is to read all of it.
        let turn = if turn.truncated_fields.is_empty() {
            turn
        } else {
            context.patience.wait(context.client.get_turn(turn.id)).await?
        };
        context.ui.write(&reading(context, &turn))?;
    }
    Ok(Exit::Done)
}

/// A turn as one reads it: the question behind a bar, then the answer.
fn reading(context: &Context<'_>, turn: &v1::Turn) -> String {
    let paint = context.ui.out();
    let took = span(turn.create_time.as_ref(), turn.end_time.as_ref())
        .map_or_else(String::new, |took| format!(" in {}", duration(took)));
    let state = state(turn.state().as_str_name());
    let head = format!("── turn {} {state}{took}", short_id(&turn.id));
    let mut lines = vec![String::new(), paint.paint(Tone::Faint, &head)];
    lines.extend(printable(&turn.prompt).lines().map(|line| paint.paint(Tone::Strong, &format!("> {line}"))));
    if let Some(failure) = &turn.failure {
        let failure = printable(&format!("{}: {}", failure.reason, failure.message));
        lines.extend([String::new(), paint.paint(Tone::Bad, &failure)]);
    }
    if !turn.text.is_empty() {
        lines.extend([String::new(), printable(turn.text.trim_end_matches('\n'))]);
    }
    let cut = |field: &String| paint.paint(Tone::Faint, &format!("({field} is longer than shown here)"));
    lines.extend(turn.truncated_fields.iter().map(cut));
    lines.join("\n") + "\n"
}

pub(super) async fn continue_with(
    context: &mut Context<'_>,
    text: &str,
    question: Question,
) -> Result<Exit, Failure> {
    let input::Shaped { output_schema, template, parameters } = input::shaped(question.shape)?;
    input::warn_of_schema(context.ui, &output_schema);
    let stream::Sent { request_id, timeout } = stream::sent(&question.sending)?;
    let conversation_id = ids::conversation(context, text).await?;
    let prompt = question.text.unwrap_or_default();
    let client = context.client.clone();
    if question.sending.background {
        let request = v1::SubmitMessageRequest {
            conversation_id,
            prompt,
            request_id,
            output_schema,
            template,
            parameters,
            timeout,
            instance_id: String::new(),
        };
        return stream::submit(context, Box::pin(client.submit_message(request))).await;
    }
    let request = v1::SendMessageRequest {
        conversation_id,
        prompt,
        request_id,
        output_schema,
        template,
        parameters,
        timeout,
    };
    let show = if question.data { Show::Data } else { Show::Answer };
    if question.data && request.output_schema.is_empty() {
        let words = "--data needs --schema FILE, which says which data";
        return Err(Failure::new(Exit::Usage, words));
    }
    Ok(stream::follow_as(context, Box::pin(client.send_message(request)), show).await?.exit)
}

pub(super) async fn upgrade(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::conversation(context, text).await?;
    let before = context.patience.wait(context.client.get_conversation(id.as_str())).await?;
    let now = context.patience.wait(context.client.upgrade_conversation(id)).await?;
    if context.ui.format != Format::Table {
        context.ui.resource(&now)?;
        return Ok(Exit::Done);
    }
    let sides = |c: &v1::Conversation| {
        module_views::between((&c.source_module, &c.source_version), (&c.target_module, &c.target_version))
    };
    let told = if before.context_revision == now.context_revision {
        format!("nothing has changed: {} and the templates are those of now", sides(&now))
    } else {
        format!("was {}\nnow {}; the next turn runs on a new process", sides(&before), sides(&now))
    };
    context.ui.write(&format!("{told}\n"))?;
    Ok(Exit::Done)
}
