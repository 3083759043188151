//! The demo's story: what it does, step by step. Speaks to the server as any client would; how things look is `views`'.

use std::time::Duration;

use claude_comms_client::{Client, Error, v1};

use super::{
    demand::{Aql, Demand, Storage},
    kill,
    paper::Paper,
    screen::{self, Told},
    views,
};
use crate::{
    args::Demo,
    context::Context,
    exit::{Exit, Failure},
    output::{Tone, Ui},
};

const ASKER: &str = "marker";
const ASKED: &str = "arangodb";
/// The first question, in Marker's words. The blocks follow, one a line.
const FIRST: &str = "I have converted quiet_lakes.pdf to blocks. How should they be stored, so that a reader who knows \
    a heading finds the table under it? section_hierarchy names the SectionHeaders around a block, page IDs count from \
    0, and a TableGroup or FigureGroup holds a Caption and what it belongs to. Give every document and edge. These are \
    the headings and section 3, one block a line:";
/// What only those can answer who know the first answer.
const SECOND: &str = "Now only the tables of section 3, with their captions.";
/// How long the server may take to see that a process is gone.
const NOTICE_LIMIT: Duration = Duration::from_secs(10);

/// Tells the story. Failures end it; the server is the caller's.
pub(super) async fn tell(context: &mut Context<'_>, demo: &Demo) -> Result<Exit, Failure> {
    let ui = context.ui;
    let real = demo.backend == "claude";
    views::title(ui, real)?;

    step(ui, 1, "Two modules that know nothing of each other's words")?;
    let marker = module(context, ASKER).await?;
    let arangodb = module(context, ASKED).await?;
    let demands = Demand::storage(&arangodb).zip(Demand::query(&arangodb));
    let (storage, query) = demands
        .ok_or_else(|| Failure::new(Exit::Failed, "the module arangodb does not describe its own data"))?;
    let paper = Paper::read();
    views::modules(ui, &[&marker, &arangodb])?;
    views::paper(ui, &paper)?;

    step(ui, 2, "What Claude is told of the two")?;
    let blocks: Vec<String> = paper.asked().map(super::paper::Block::told).collect();
    let prompt = format!("{FIRST}\n{}", blocks.join("\n"));
    let request = v1::PreviewContextRequest {
        source: ASKER.into(),
        target: ASKED.into(),
        prompt: prompt.clone(),
        output_schema: storage.text().into(),
        ..Default::default()
    };
    let preview = context.patience.wait(context.client.preview_context(request)).await?;
    views::preview(ui, &preview)?;

    step(ui, 3, "Marker asks ArangoDB how to store the paper, and wants data that fits")?;
    views::question(ui, FIRST, &format!("({} blocks, {} KiB)", blocks.len(), prompt.len().div_ceil(1024)))?;
    let request = v1::QueryModuleRequest {
        source: ASKER.into(),
        target: ASKED.into(),
        prompt,
        output_schema: storage.text().into(),
        ..Default::default()
    };
    let client = context.client.clone();
    let turn = match screen::show(context, client.query_module(request), &storage).await? {
        Told::Answer(turn) => {
            views::storage(ui, &Storage::read(&turn.data_json))?;
            turn
        }
        Told::Otherwise(turn) => turn,
        Told::Ended(exit) => return Ok(exit),
    };

    step(ui, 4, "The Claude process is killed, as by a crash or the kernel's memory killer")?;
    let before = context.patience.wait(serving_instance(&context.client, &turn.conversation_id)).await?;
    let server = context.patience.wait(context.client.server_info()).await?;
    kill::kill(before.process_id, &server.server_id).map_err(|error| {
        Failure::new(Exit::Failed, format!("kill process {}: {error}", before.process_id))
    })?;
    context.patience.wait(gone(&context.client, &before)).await?;
    views::say(
        ui,
        &format!("Process {} is gone. The conversation is not: it is in the store.", before.process_id),
    )?;

    step(ui, 5, "Marker asks on, which needs the first answer")?;
    views::question(ui, SECOND, "")?;
    let request = v1::SendMessageRequest {
        conversation_id: turn.conversation_id.clone(),
        prompt: SECOND.into(),
        output_schema: query.text().into(),
        ..Default::default()
    };
    let told = screen::show(context, client.send_message(request), &query).await?;
    let remembers = match &told {
        Told::Answer(turn) => {
            views::aql(ui, &Aql::read(&turn.data_json))?;
            " and remembers"
        }
        Told::Otherwise(_) => "",
        Told::Ended(exit) => return Ok(*exit),
    };
    let after = context.patience.wait(serving_instance(&context.client, &turn.conversation_id)).await?;
    let resumed = format!("A new process, {}, has resumed the conversation{remembers}.", after.process_id);
    views::say(ui, &resumed)?;

    step(ui, 6, "The conversation, as the store has it")?;
    let id = turn.conversation_id.as_str();
    let conversation = context.patience.wait(context.client.get_conversation(id)).await?;
    let filter = v1::ListTurnsRequest { conversation_id: id.to_owned(), ..Default::default() };
    let listed = context.patience.wait(context.client.list_turns(filter)).await?;
    let mut turns = Vec::new();
    for turn in listed.turns {
        // A list has no data.
        turns.push(context.patience.wait(context.client.get_turn(turn.id)).await?);
    }
    views::conversation(ui, &conversation, &turns, real)?;
    Ok(Exit::Done)
}

fn step(ui: &Ui, number: u8, title: &str) -> Result<(), Failure> {
    let head = format!("{number}. {title}");
    ui.write(&format!("\n{}\n", ui.out().paint(Tone::Strong, &head)))
}

async fn module(context: &mut Context<'_>, name: &str) -> Result<v1::Module, Failure> {
    let request = v1::GetModuleRequest { name: name.into(), ..Default::default() };
    context.patience.wait(context.client.get_module(request)).await
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
