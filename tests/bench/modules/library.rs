//! A server that knows many modules: how it is started, what it holds in memory, how soon it has a file that changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use claude_comms_descriptors::{Descriptor, to_json, to_yaml};
use claude_comms_proto::v1::{GetModuleRequest, RegisterModuleRequest};
use claude_comms_tests::{PATIENCE, TestServer, eventually, processes::resident_bytes, tools};

use crate::{conversation::Connection, samples::Samples};

/// Modules of the directory.
pub(super) const IN_DIRECTORY: usize = 10_000;
/// Modules that are registered.
pub(super) const REGISTERED: usize = 100;
/// How long the server waits for more changes before it reads the directory again.
pub(super) const QUIET: Duration = Duration::from_millis(100);
/// One file in so many is JSON.
const JSON_ONE_IN: usize = 10;

/// A server with modules, and these modules: those of the directory, then the registered ones.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) server: TestServer,
    pub(super) modules: Vec<Descriptor>,
    directory: PathBuf,
    /// Bytes of the files.
    pub(super) bytes: u64,
    /// From the first start to readiness.
    pub(super) first_start: Duration,
}

fn scenario() -> PathBuf {
    tools::repository().join("tests/bench/modules/answer.yaml")
}

/// The same server without any but the built-in modules.
pub(super) async fn without() -> TestServer {
    TestServer::simulated().scenario(&scenario()).start().await
}

/// What a server holds in memory, MiB.
pub(super) fn mebibytes(server: &TestServer) -> f64 {
    resident_bytes(server.pid()) as f64 / f64::from(1 << 20)
}

/// From the launch of a server that ran before to its readiness, so many times.
pub(super) async fn starts(server: &mut TestServer, count: usize) -> Samples {
    let mut times = Samples::default();
    for _ in 0..count {
        let _ = server.terminate().await;
        let begin = Instant::now();
        server.restart().await;
        times.push(begin.elapsed());
    }
    times
}

impl Library {
    /// Writes the files, starts the server.
    pub(super) async fn open(modules: Vec<Descriptor>) -> Self {
        let builder = TestServer::simulated().scenario(&scenario());
        let directory = builder.world().root().join("modules");
        let mut bytes = 0;
        for (index, module) in modules.iter().take(IN_DIRECTORY).enumerate() {
            let text = if index % JSON_ONE_IN == 0 { to_json(module) } else { to_yaml(module) };
            bytes += text.len() as u64;
            let file = file(&directory, index, module);
            fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("our own directory");
            fs::write(file, text).expect("our own directory");
        }
        let begin = Instant::now();
        let server = builder
            .arguments(&["--module-dir", &directory.to_string_lossy()])
            .configuration("pool: { max_instances: 96 }\n")
            .start()
            .await;
        Self { server, modules, directory, bytes, first_start: begin.elapsed() }
    }

    /// Registers those that are not in the directory; the times of the calls.
    pub(super) async fn register(&self, connection: &mut Connection) -> Samples {
        let mut times = Samples::default();
        for module in &self.modules[IN_DIRECTORY..] {
            let request =
                RegisterModuleRequest { descriptor: to_yaml(module), ..RegisterModuleRequest::default() };
            let begin = Instant::now();
            connection.modules.register_module(request).await.expect("a valid module");
            times.push(begin.elapsed());
        }
        times
    }

    /// From a changed file to the module's new version in GetModule, so many times, each with another module.
    pub(super) async fn reloads(&self, connection: &mut Connection, count: usize) -> Samples {
        let mut times = Samples::default();
        for round in 0..count {
            let index = 1 + round * (IN_DIRECTORY / (count + 1));
            let mut changed = self.modules[index].clone();
            changed.version = "1.0.1".to_owned();
            changed.description.push_str(" It was changed.");
            let text = if index.is_multiple_of(JSON_ONE_IN) { to_json(&changed) } else { to_yaml(&changed) };
            // As editors do: whole beside it, hidden, then in its place.
            let beside = self.directory.join(".changed");
            fs::write(&beside, text).expect("our own directory");
            let begin = Instant::now();
            fs::rename(&beside, file(&self.directory, index, &changed)).expect("our own directory");
            let modules = connection.modules.clone();
            eventually(PATIENCE, "the changed module", async || {
                let request = GetModuleRequest { name: changed.name.clone(), ..GetModuleRequest::default() };
                let module = modules.clone().get_module(request).await.expect("it is known").into_inner();
                (module.version == changed.version).then_some(())
            })
            .await;
            times.push(begin.elapsed());
        }
        times
    }
}

/// Hundred to a folder.
fn file(directory: &Path, index: usize, module: &Descriptor) -> PathBuf {
    let extension = if index.is_multiple_of(JSON_ONE_IN) { "json" } else { "yaml" };
    directory.join(format!("{:03}", index / 100)).join(format!("{}.{extension}", module.name))
}
