//! What each command does. One file a resource; `stream` shows a turn as it comes.

pub(crate) mod conversations;
mod drain;
mod input;
mod instances;
mod modules;
mod monitor;
mod pool;
mod questions;
mod server;
pub(crate) mod stream;
mod tokens;
mod turns;
mod validate;

use claude_comms_client::Error;

use crate::{
    args::{Command, Global},
    context::Context,
    exit::{Exit, Failure},
    output::Ui,
};

/// What a list command asks for at once; the most a server gives.
const PAGE_SIZE: i32 = 1000;

/// Runs a command to its end.
pub(crate) fn run(global: &Global, command: Command, ui: &Ui) -> Result<Exit, Failure> {
    match command {
        Command::Version => return server::version(ui),
        Command::ValidateModule(validate) => return validate::run(ui, &validate),
        _ => {}
    }
    // Before the runtime: Ctrl-C while standard input is read ends the program as usual.
    let command = input::with_prompt(command)?;
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
        Command::ListInstances(list) if list.watch => pool::watch(context).await,
        Command::ListInstances(list) => instances::list(context, list.all).await,
        Command::MonitorInstance(monitor) => monitor::follow(context, &monitor.target.id, monitor.from).await,
        Command::ShowInstance(target) => instances::show(context, &target.id).await,
        Command::StopInstance { target, now } => instances::stop(context, &target.id, now).await,
        Command::PauseInstance(target) => instances::pause(context, &target.id).await,
        Command::ResumeInstance(target) => instances::resume(context, &target.id).await,
        Command::InterruptInstance(target) => instances::interrupt(context, &target.id).await,
        Command::QueryInstance { target, prompt } => instances::query(context, &target.id, prompt).await,
        Command::CreateConversation(create) => conversations::create(context, create).await,
        Command::ListConversations { module } => conversations::list(context, module).await,
        Command::ShowConversation(target) => conversations::show(context, &target.id).await,
        Command::ContinueConversation { target, question } => {
            conversations::continue_with(context, &target.id, question).await
        }
        Command::UpgradeConversation(target) => conversations::upgrade(context, &target.id).await,
        Command::WatchConversation(watch) => stream::conversation::watch(context, watch).await,
        Command::ShowTurn(target) => turns::show(context, &target.id).await,
        Command::WaitTurn(target) => turns::wait(context, &target.id).await,
        Command::CancelTurn(target) => turns::cancel(context, &target.id).await,
        Command::ListTurns(filter) => turns::list(context, filter).await,
        Command::RegisterModule(register) => modules::register(context, register).await,
        Command::ListModules => modules::list(context).await,
        Command::ShowModule(show) => modules::show(context, show).await,
        Command::UnregisterModule { name } => modules::unregister(context, name).await,
        Command::DiscoverModules(discover) => modules::discover(context, discover).await,
        Command::QueryModule(query) => questions::query(context, query).await,
        Command::PreviewContext(preview) => questions::preview(context, preview).await,
        Command::Token(token) => tokens::run(context, token).await,
        Command::Status => server::status(context).await,
        Command::Statistics => server::statistics(context).await,
        Command::Drain(how) => drain::run(context, &how).await,
        Command::Version => server::version(context.ui),
        Command::ValidateModule(_) => unreachable!("run answers what needs no server"),
        Command::Completions { .. } => unreachable!("main prints what needs no client"),
        Command::Serve(_) | Command::Config(_) | Command::Demo(_) | Command::Doctor(_) => {
            unreachable!("main runs what needs a server of its own")
        }
    }
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
