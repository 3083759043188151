//! The demo's story: what it does, step by step, and how that is told. Speaks to the server as any client would.

use std::time::Duration;

use claude_comms_client::{Client, Error, v1};

use super::kill;
use crate::{
    args::Demo,
    commands::{conversations, stream},
    context::Context,
    exit::{Exit, Failure},
    output::{Paint, Tone, Ui, short_id},
};

const FIRST: &str = "My name is Ada and my favourite number is 7. Please remember both.";
const SECOND: &str = "What is my name, and what is three times my favourite number?";
/// How long the server may take to see that a process is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);

/// Tells the story. Failures end it; the server is the caller's.
pub(super) async fn tell(context: &mut Context<'_>, demo: &Demo) -> Result<Exit, Failure> {
    let ui = context.ui;
    let paint = ui.out();
    let who = match demo.backend.as_str() {
        "claude" => "It asks the real Claude, which may cost a little.",
        _ => "Claude is simulated: no model, no key, no network; --backend claude takes the real one.",
    };
    ui.write(&format!(
        "{}\nA server of its own, with temporary data.\n{who}\n",
        paint.paint(Tone::Strong, "claude-comms demo")
    ))?;

    step(ui, 1, "Make a conversation")?;
    let request = v1::CreateConversationRequest { title: "Demo".into(), ..Default::default() };
    let conversation = context.patience.wait(context.client.create_conversation(request)).await?;
    say(ui, &format!("conversation {}", short_id(&conversation.id)))?;

    step(ui, 2, "Ask, and see the answer as it comes")?;
    if let Some(exit) = ask(context, &conversation.id, FIRST).await? {
        return Ok(exit);
    }
    let before = context.patience.wait(serving_instance(&context.client, &conversation.id)).await?;
    say(ui, &format!("Claude process {} answered and stays warm for the next turn.", before.process_id))?;

    step(ui, 3, "Kill that process, as a crash or the kernel's memory killer would")?;
    let server = context.patience.wait(context.client.server_info()).await?;
    kill::kill(before.process_id, &server.server_id).map_err(|error| {
        Failure::new(Exit::Failed, format!("kill process {}: {error}", before.process_id))
    })?;
    context.patience.wait(gone(&context.client, &before)).await?;
    say(ui, &format!("Process {} is gone. The conversation is not: it is in the store.", before.process_id))?;

    step(ui, 4, "Ask what only the first turn can answer")?;
    if let Some(exit) = ask(context, &conversation.id, SECOND).await? {
        return Ok(exit);
    }
    let after = context.patience.wait(serving_instance(&context.client, &conversation.id)).await?;
    say(ui, &format!("A new process, {}, has resumed the conversation and remembers.", after.process_id))?;

    step(ui, 5, "The conversation, as the store has it")?;
    conversations::show(context, &conversation.id).await
}

/// What to do next.
pub(super) fn farewell(ui: &Ui) -> Result<(), Failure> {
    let paint = ui.out();
    ui.write(&format!(
        "\nServer, processes and data of the demo are gone.\n\n{}\n  \
         claude-comms serve --backend simulated        # a server that stays; without the flag: real Claude\n  \
         claude-comms start-instance --name helper     # in a second terminal\n  \
         claude-comms query-instance --id helper \"Hello!\"\n",
        paint.paint(Tone::Strong, "Try next:")
    ))
}

fn step(ui: &Ui, number: u8, title: &str) -> Result<(), Failure> {
    let head = format!("{number}. {title}");
    ui.write(&format!("\n{}\n", ui.out().paint(Tone::Strong, &head)))
}

fn say(ui: &Ui, text: &str) -> Result<(), Failure> {
    let text = if ui.out() == Paint::Colored { ui.out().paint(Tone::Good, text) } else { text.to_owned() };
    ui.write(&format!("{text}\n"))
}

/// Asks and shows the answer; `Some` when the turn did not end with one.
async fn ask(
    context: &mut Context<'_>,
    conversation_id: &str,
    prompt: &str,
) -> Result<Option<Exit>, Failure> {
    context.ui.write(&format!("> {prompt}\n"))?;
    let request = v1::SendMessageRequest {
        conversation_id: conversation_id.to_owned(),
        prompt: prompt.to_owned(),
        ..Default::default()
    };
    let client = context.client.clone();
    let exit = stream::follow(context, client.send_message(request)).await?;
    Ok((exit != Exit::Done).then_some(exit))
}

/// The instance that serves the conversation now.
async fn serving_instance(client: &Client, conversation_id: &str) -> Result<v1::Instance, Error> {
    let list = client.list_instances(v1::ListInstancesRequest::default()).await?;
    list.instances
        .into_iter()
        .find(|instance| instance.conversation_id == conversation_id)
        .ok_or_else(|| Error::Protocol("no instance serves the demo's conversation".into()))
}

/// Resolves when the server has seen that the instance's process is gone.
async fn gone(client: &Client, before: &v1::Instance) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + NOTICE_LIMIT;
    loop {
        match client.get_instance(before.id.as_str()).await {
            Ok(now) if now.process_id != before.process_id => return Ok(()),
            Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) if tokio::time::Instant::now() > deadline => {
                return Err(Error::Protocol("the server does not see that the process is gone".into()));
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
