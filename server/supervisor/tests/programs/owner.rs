//! A server in small: starts one supervised process and waits to be killed.
//! `owner DIRECTORY NAME FAKE_CLI idle|busy|paused`; prints the CLI's pid when it has come that far.

use std::{collections::BTreeMap, env, path::PathBuf};

use claude_comms_supervisor::{Launch, Options, Program, Session, Supervisor};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) fn run() {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let [directory, name, mode, activity] = &arguments[..] else { panic!("four arguments: {arguments:?}") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(own(directory.into(), name, mode, activity));
}

async fn own(directory: PathBuf, name: &str, mode: &str, activity: &str) {
    let supervisor = Supervisor::new(Options::new(name, directory), TaskTracker::new());
    let launch = Launch {
        instance: "owned".into(),
        program: Program::Claude { binary: env::current_exe().expect("this program has a path") },
        session: Session::New { id: Uuid::new_v4() },
        transcript: None,
        model: None,
        system_prompt: None,
        environment: BTreeMap::from([("FAKE_CLI".to_owned(), mode.to_owned())]),
        extra_args: Vec::new(),
    };
    let process = supervisor.start(launch).await.expect("the fake cli starts");
    let mut turn = None;
    match activity {
        "busy" => {
            let mut updates = process.send(Uuid::new_v4(), "hang".into()).await.expect("it is idle");
            updates.next().await.expect("the turn begins");
            turn = Some(updates);
        }
        "paused" => process.pause().await.expect("it is idle"),
        _ => {}
    }
    println!("{}", process.process_id());
    std::future::pending::<()>().await;
    drop((process, turn));
}
