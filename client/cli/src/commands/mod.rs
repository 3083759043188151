//! What each command does. One file a resource; `stream` shows a turn as it comes.

pub(crate) mod conversations;
mod instances;
mod server;
pub(crate) mod stream;
mod turns;

use std::io::Read as _;

use claude_comms_client::Error;

use crate::{
    args::{Command, Global},
    context::Context,
    exit::{Exit, Failure},
    output::Ui,
};

/// What a list command asks for at once; the most a server gives.
const PAGE_SIZE: i32 = 1000;
/// What is read of standard input at most: more than any server takes, less than would hurt this machine.
const STDIN_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Runs a command to its end.
pub(crate) fn run(global: &Global, command: Command, ui: &Ui) -> Result<Exit, Failure> {
    if let Command::Version = command {
        return server::version(ui);
    }
    // Before the runtime: Ctrl-C while standard input is read ends the program as usual.
    let command = with_prompt(command)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("start the runtime: {error}")))?;
    runtime.block_on(async {
        let mut context = Context::new(global, ui)?;
        dispatch(&mut context, command).await
    })
}

async fn dispatch(context: &mut Context<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::StartInstance(start) => instances::start(context, start).await,
        Command::ListInstances { all } => instances::list(context, all).await,
        Command::ShowInstance(target) => instances::show(context, &target.id).await,
        Command::StopInstance { target, now } => instances::stop(context, &target.id, now).await,
        Command::QueryInstance { target, prompt } => instances::query(context, &target.id, prompt).await,
        Command::CreateConversation(create) => conversations::create(context, create).await,
        Command::ListConversations => conversations::list(context).await,
        Command::ShowConversation(target) => conversations::show(context, &target.id).await,
        Command::ContinueConversation { target, prompt } => {
            conversations::continue_with(context, &target.id, prompt).await
        }
        Command::ShowTurn(target) => turns::show(context, &target.id).await,
        Command::WaitTurn(target) => turns::wait(context, &target.id).await,
        Command::CancelTurn(target) => turns::cancel(context, &target.id).await,
        Command::ListTurns(filter) => turns::list(context, filter).await,
        Command::Status => server::status(context).await,
        Command::Version => server::version(context.ui),
        Command::Serve(_) | Command::Demo(_) => unreachable!("main runs what needs a server of its own"),
    }
}

/// Puts standard input in the place of a prompt of `-`.
fn with_prompt(mut command: Command) -> Result<Command, Failure> {
    if let Command::QueryInstance { prompt, .. } | Command::ContinueConversation { prompt, .. } = &mut command
        && prompt.text == "-"
    {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(STDIN_LIMIT_BYTES + 1).read_to_string(&mut text);
        match read {
            Ok(bytes) if bytes as u64 > STDIN_LIMIT_BYTES => {
                return Err(Failure::new(Exit::Usage, "the prompt on standard input is longer than 64 MiB"));
            }
            Ok(_) => prompt.text = text,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Failure::new(Exit::Usage, "the prompt on standard input is not UTF-8"));
            }
            Err(error) => return Err(Failure::new(Exit::Failed, format!("read standard input: {error}"))),
        }
    }
    Ok(command)
}

/// Reads every page of a list.
async fn pages<T>(
    mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let (items, next) = page(token.clone()).await?;
        all.extend(items);
        if next.is_empty() {
            return Ok(all);
        }
        if next == token {
            return Err(Error::Protocol("the server gave the same page twice".into()).into());
        }
        token = next;
    }
}
