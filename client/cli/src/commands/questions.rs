//! Questions to modules: ask, or see what would be told.

use claude_comms_client::v1;

use super::{
    input,
    stream::{self, Show},
};
use crate::{
    args::{Format, PreviewContext, QueryModule},
    context::Context,
    exit::{Exit, Failure},
    ids,
    output::{module_views, short_id},
    suggest::command,
};

pub(super) async fn query(context: &mut Context<'_>, query: QueryModule) -> Result<Exit, Failure> {
    let QueryModule { target, between, question } = query;
    let input::Shaped { output_schema, template, parameters } = input::shaped(question.shape)?;
    input::warn_of_schema(context.ui, &output_schema);
    if question.data && output_schema.is_empty() && between.capability.is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "--data needs --schema FILE or --capability NAME: they say which data",
        ));
    }
    let stream::Sent { request_id, timeout } = stream::sent(&question.sending)?;
    let goes_on = between.conversation.is_some();
    let conversation_id = conversation(context, between.conversation).await?;
    let source = between.from.unwrap_or_default();
    let prompt = question.text.unwrap_or_default();
    let capability = between.capability.unwrap_or_default();
    let client = context.client.clone();
    if question.sending.background {
        let request = v1::SubmitModuleQueryRequest {
            source,
            target,
            prompt,
            conversation_id,
            request_id,
            capability,
            output_schema,
            template,
            parameters,
            context_overrides: None,
            timeout,
        };
        return stream::submit(context, Box::pin(client.submit_module_query(request))).await;
    }
    let request = v1::QueryModuleRequest {
        source,
        target,
        prompt,
        conversation_id,
        request_id,
        capability,
        output_schema,
        template,
        parameters,
        context_overrides: None,
        timeout,
    };
    let show = if question.data { Show::Data } else { Show::Answer };
    let ended = stream::follow_as(context, Box::pin(client.query_module(request)), show).await?;
    if show == Show::Answer && !goes_on && ended.exit == Exit::Done && context.ui.format == Format::Table {
        let id = short_id(&ended.turn.conversation_id);
        let go_on = command(&format!("continue-conversation --id {id} PROMPT"));
        context.ui.note(&format!("go on with: {go_on}"));
    }
    Ok(ended.exit)
}

pub(super) async fn preview(context: &mut Context<'_>, preview: PreviewContext) -> Result<Exit, Failure> {
    let PreviewContext { target, text, between, shape, budget } = preview;
    let input::Shaped { output_schema, template, parameters } = input::shaped(shape)?;
    input::warn_of_schema(context.ui, &output_schema);
    let request = v1::PreviewContextRequest {
        conversation_id: conversation(context, between.conversation).await?,
        source: between.from.unwrap_or_default(),
        target,
        prompt: text.unwrap_or_default(),
        capability: between.capability.unwrap_or_default(),
        output_schema,
        template,
        parameters,
        context_overrides: budget
            .map(|budget| v1::ContextOverrides { token_budget: Some(budget), ..Default::default() }),
    };
    let preview = context.patience.wait(context.client.preview_context(request)).await?;
    context.ui.shown(&preview, |paint, width| module_views::preview(&preview, paint, width))?;
    Ok(Exit::Done)
}

/// The whole ID of the conversation that was named; empty for none.
async fn conversation(context: &mut Context<'_>, named: Option<String>) -> Result<String, Failure> {
    match named {
        Some(text) => ids::conversation(context, &text).await,
        None => Ok(String::new()),
    }
}
