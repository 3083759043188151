//! A server of a test: the real binary in its own world, started as a user starts it. Dropping it kills it and then
//! checks that nothing of it is left.

mod environment;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{
    Client, MessagesApi, Ran, processes, tools,
    wait::{blocking, within},
    world::World,
};

/// How a server is to be started.
#[derive(Debug)]
pub struct Builder {
    world: World,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    configuration: Option<String>,
    listens: Vec<String>,
}

/// Why a server did not start: what a user would see.
pub type NotStarted = Ran;

impl Builder {
    fn new(backend: &str) -> Self {
        Self {
            world: World::new(),
            arguments: vec!["--backend".into(), backend.into()],
            environment: BTreeMap::from([(environment::WARM_SPARES.to_owned(), "0".to_owned())]),
            configuration: None,
            listens: Vec::new(),
        }
    }

    /// More arguments of `serve`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// The configuration file, as YAML.
    #[must_use]
    pub fn configuration(mut self, yaml: impl Into<String>) -> Self {
        self.configuration = Some(yaml.into());
        self
    }

    /// The scenario of a simulated Claude.
    #[must_use]
    pub fn scenario(self, file: &Path) -> Self {
        self.arguments(&["--scenario", &file.to_string_lossy()])
    }

    /// Listens on a free port of 127.0.0.1 too.
    #[must_use]
    pub fn tcp(self) -> Self {
        self.listen("http://127.0.0.1:0")
    }

    /// Listens here beside the Unix socket.
    #[must_use]
    pub fn listen(mut self, endpoint: &str) -> Self {
        self.listens.push(endpoint.into());
        self
    }

    /// The world it will live in, to be prepared.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(self) -> TestServer {
        match self.try_start().await {
            Ok(server) => server,
            Err((ran, _)) => panic!("the server does not start: {ran:#?}"),
        }
    }

    /// Starts it and waits until it listens or has ended.
    ///
    /// # Errors
    /// What it printed, and the world it leaves, when it ended before it listened.
    ///
    /// # Panics
    /// When it does neither in time.
    pub async fn try_start(self) -> Result<TestServer, (NotStarted, World)> {
        let configuration = self.configuration.as_ref().map(|yaml| {
            let file = self.world.root().join("claude-comms.yaml");
            fs::write(&file, yaml).expect("our own directory");
            file
        });
        let mut listens = vec![format!("unix:{}", self.world.socket().display())];
        listens.extend(self.listens);
        let mut server = TestServer {
            world: self.world,
            arguments: self.arguments,
            environment: self.environment,
            configuration,
            listens,
            endpoints: Vec::new(),
            running: None,
        };
        match server.launch().await {
            Ok(()) => Ok(server),
            Err(ran) => {
                let world = std::mem::take(&mut server.world);
                let left = world.processes().left_over();
                assert!(left.is_empty(), "a server that did not start left processes: {left:#?}");
                Err((ran, world))
            }
        }
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Kept open: a server whose standard output is closed would meet SIGPIPE.
    stdout: Lines<BufReader<ChildStdout>>,
}

/// A running (or killed) server and its world.
#[derive(Debug)]
pub struct TestServer {
    world: World,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    configuration: Option<PathBuf>,
    listens: Vec<String>,
    endpoints: Vec<String>,
    running: Option<Running>,
}

impl TestServer {
    /// A server in front of the real Claude CLI, which talks to this stand-in with a made-up key. One API retry, so that
    /// refusals come soon.
    #[must_use]
    pub fn claude(api: &MessagesApi) -> Builder {
        let claude = tools::claude();
        Builder::new("claude")
            .arguments(&["--claude-binary", &claude.to_string_lossy()])
            .environment("ANTHROPIC_BASE_URL", api.base_url())
            .environment("ANTHROPIC_API_KEY", "sk-ant-made-up")
            .environment("CLAUDE_CODE_MAX_RETRIES", "1")
    }

    /// A server in front of simulated Claudes.
    #[must_use]
    pub fn simulated() -> Builder {
        Builder::new("simulated")
    }

    /// A server with this backend and nothing else said.
    #[must_use]
    pub fn backend(name: &str) -> Builder {
        Builder::new(name)
    }

    fn serve_command(&self) -> Command {
        let mut command = self.world.command(&tools::server_binary());
        command.arg("serve").args(&self.arguments).arg("--data-dir").arg(self.data_dir());
        if let Some(file) = &self.configuration {
            command.arg("--config").arg(file);
        }
        for endpoint in &self.listens {
            command.args(["--listen", endpoint]);
        }
        command.envs(&self.environment);
        command
    }

    async fn launch(&mut self) -> Result<(), NotStarted> {
        let log = File::options().create(true).append(true).open(self.log_file()).expect("our own directory");
        let before = self.log().len();
        let mut child = self.serve_command().stderr(Stdio::from(log)).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let mut stdout = BufReader::new(stdout).lines();
        let mut printed = Vec::new();
        self.endpoints.clear();
        while self.endpoints.len() < self.listens.len() {
            let line = within("`listening on` from the server", stdout.next_line()).await.expect("UTF-8");
            let Some(line) = line else {
                let status = within("the end of the server", child.wait()).await.expect("our child");
                let stderr = self.log()[before..].to_owned();
                return Err(Ran { code: status.code(), stdout: printed.join("\n"), stderr });
            };
            if let Some(endpoint) = line.strip_prefix("listening on ") {
                self.endpoints.push(endpoint.trim().to_owned());
            }
            printed.push(line);
        }
        self.running = Some(Running { child, stdout });
        Ok(())
    }

    /// Its world.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.world.data_dir()
    }

    fn log_file(&self) -> PathBuf {
        self.world.root().join("server.log")
    }

    /// All it wrote to standard error, over restarts too.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Its endpoints, as it printed them.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Its Unix endpoint.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn unix(&self) -> &str {
        self.endpoint("unix:")
    }

    /// Its TCP endpoint.
    ///
    /// # Panics
    /// When it has none; see [`Builder::tcp`].
    #[must_use]
    pub fn tcp(&self) -> &str {
        self.endpoint("http://")
    }

    fn endpoint(&self, scheme: &str) -> &str {
        let found = self.endpoints.iter().find(|endpoint| endpoint.starts_with(scheme));
        found.unwrap_or_else(|| panic!("no {scheme} among {:?}", self.endpoints))
    }

    /// The bearer token of TCP, as the server wrote it.
    ///
    /// # Panics
    /// When it wrote none.
    #[must_use]
    pub fn token(&self) -> String {
        let token =
            fs::read_to_string(self.data_dir().join("token")).expect("a server on TCP writes its token");
        token.trim().to_owned()
    }

    /// Clients over the Unix socket.
    pub async fn client(&self) -> Client {
        Client::connect(self.unix(), None).await
    }

    /// Clients over TCP, with the token.
    pub async fn tcp_client(&self) -> Client {
        Client::connect(self.tcp(), Some(&self.token())).await
    }

    /// The command line of the binary, aimed at this server; a test may add to it before it runs.
    #[must_use]
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(&tools::server_binary());
        command.env("CLAUDE_COMMS_SERVER", self.unix()).args(arguments);
        command
    }

    /// Runs the command line of the binary to its end.
    pub async fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::to_end(self.cli_command(arguments)).await
    }

    /// Its process ID.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.as_ref().and_then(|running| running.child.id()).expect("the server runs")
    }

    /// Its processes: itself, its reapers, its Claudes, whatever they started.
    #[must_use]
    pub fn processes(&self) -> processes::Processes {
        self.world.processes()
    }

    fn take_running(&mut self) -> Running {
        self.running.take().expect("the server runs")
    }

    /// SIGKILL, as a crash; returns once the server itself is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill9(&mut self) {
        let mut running = self.take_running();
        running.child.kill().await.expect("our own child");
    }

    /// SIGTERM, as an operator; returns its exit code (`None` when a signal ended it) and the rest of its standard output.
    ///
    /// # Panics
    /// When it does not run or does not end in time.
    pub async fn terminate(&mut self) -> Ran {
        let before = self.log().len();
        processes::signal(self.pid(), Signal::TERM);
        self.end(before).await
    }

    /// Waits for the end of a server that was told to; returns its exit code and what it printed.
    pub async fn ended(&mut self) -> Ran {
        self.end(self.log().len()).await
    }

    async fn end(&mut self, before: usize) -> Ran {
        let mut running = self.take_running();
        let mut stdout = String::new();
        while let Some(line) =
            within("the end of the server", running.stdout.next_line()).await.expect("UTF-8")
        {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let status = within("the end of the server", running.child.wait()).await.expect("our own child");
        Ran { code: status.code(), stdout, stderr: self.log()[before..].to_owned() }
    }

    /// Starts it again on the same data directory after [`TestServer::kill9`] or [`TestServer::terminate`].
    ///
    /// # Panics
    /// When it still runs or does not start.
    pub async fn restart(&mut self) {
        assert!(self.running.is_none(), "the server still runs");
        if let Err(ran) = self.launch().await {
            panic!("the server does not start again: {ran:#?}");
        }
    }

    /// Other arguments for the next start.
    pub fn change_arguments(&mut self, change: impl FnOnce(&mut Vec<String>)) {
        change(&mut self.arguments);
    }

    /// Another environment for the next start.
    pub fn change_environment(&mut self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.environment);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself; then there is nothing to kill, and the look below finds what is left.
            let _ = running.child.start_kill();
            let _ = blocking(processes::GONE_WITHIN, || matches!(running.child.try_wait(), Ok(Some(_))));
        }
        let left = self.processes().left_over();
        self.processes().kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}\n--- left: {left:#?}", self.log());
        } else {
            assert!(left.is_empty(), "processes outlived their server: {left:#?}");
        }
    }
}
