//! Instances: start, list, show, stop, pause, resume, interrupt, query.

use std::{pin::pin, time::Duration};

use claude_comms_client::v1;

use super::{PAGE_SIZE, pages, stream};
use crate::{
    args::{Prompt, StartInstance},
    context::Context,
    exit::{Exit, Failure},
    ids,
    output::{short_id, views},
    suggest::command,
};

/// A stop that takes longer waits for a turn, and says so.
const STOP_IS_SLOW: Duration = Duration::from_secs(1);

pub(super) async fn start(context: &mut Context<'_>, start: StartInstance) -> Result<Exit, Failure> {
    let conversation_id = match &start.conversation {
        Some(text) => ids::conversation(context, text).await?,
        None => String::new(),
    };
    let request = v1::StartInstanceRequest {
        name: start.name.unwrap_or_default(),
        model: start.model.unwrap_or_default(),
        system_prompt: start.system_prompt.unwrap_or_default(),
        conversation_id,
    };
    let instance = context.patience.wait(context.client.start_instance(request)).await?;
    context.ui.resource(&instance)?;
    Ok(Exit::Done)
}

pub(super) async fn list(context: &mut Context<'_>, all: bool) -> Result<Exit, Failure> {
    let instances = pages(async |page_token| {
        let request = v1::ListInstancesRequest {
            page_size: PAGE_SIZE,
            page_token,
            include_stopped: all,
            ..Default::default()
        };
        let page = context.patience.wait(context.client.list_instances(request)).await?;
        Ok((page.instances, page.next_page_token))
    })
    .await?;
    let list = v1::ListInstancesResponse { instances, next_page_token: String::new() };
    context.ui.list(&list, || views::instances(&list.instances))?;
    if list.instances.is_empty() {
        context.ui.note(&format!("no instance yet; start one with: {}", command("start-instance")));
    }
    Ok(Exit::Done)
}

pub(super) async fn show(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let instance = context.patience.wait(context.client.get_instance(id)).await?;
    context.ui.resource(&instance)?;
    Ok(Exit::Done)
}

pub(super) async fn stop(context: &mut Context<'_>, text: &str, now: bool) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let mode = if now { v1::StopMode::Now } else { v1::StopMode::Graceful };
    let request = v1::StopInstanceRequest { id, mode: mode.into() };
    let (client, ui) = (context.client.clone(), context.ui);
    let instance = context
        .patience
        .wait(async {
            let mut call = pin!(client.stop_instance(request));
            if !now {
                tokio::select! {
                    stopped = &mut call => return stopped,
                    () = tokio::time::sleep(STOP_IS_SLOW) => {
                        ui.note("waiting for its turn to end; --now cancels it");
                    }
                }
            }
            call.await
        })
        .await?;
    context.ui.resource(&instance)?;
    Ok(Exit::Done)
}

pub(super) async fn pause(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let instance = context.patience.wait(context.client.pause_instance(id)).await?;
    context.ui.resource(&instance)?;
    if instance.pause_pending {
        context.ui.note("it is paused once its turn has ended");
    }
    let resume = command(&format!("resume-instance --id {}", short_id(&instance.id)));
    context.ui.note(&format!("let it go on with: {resume}"));
    Ok(Exit::Done)
}

pub(super) async fn resume(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let instance = context.patience.wait(context.client.resume_instance(id)).await?;
    context.ui.resource(&instance)?;
    Ok(Exit::Done)
}

pub(super) async fn interrupt(context: &mut Context<'_>, text: &str) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let instance = context.patience.wait(context.client.interrupt_instance(id)).await?;
    context.ui.resource(&instance)?;
    Ok(Exit::Done)
}

pub(super) async fn query(context: &mut Context<'_>, text: &str, prompt: Prompt) -> Result<Exit, Failure> {
    let id = ids::instance(context, text).await?;
    let stream::Sent { request_id, timeout } = stream::sent(&prompt.sending)?;
    if prompt.sending.background {
        let instance = context.patience.wait(context.client.get_instance(id)).await?;
        let request = v1::SubmitMessageRequest {
            conversation_id: instance.conversation_id,
            prompt: prompt.text,
            request_id,
            timeout,
            instance_id: instance.id,
            ..Default::default()
        };
        let client = context.client.clone();
        return stream::submit(context, client.submit_message(request)).await;
    }
    let request = v1::QueryInstanceRequest { id, prompt: prompt.text, request_id, timeout };
    let client = context.client.clone();
    stream::follow(context, client.query_instance(request)).await
}
