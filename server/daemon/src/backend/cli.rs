//! The Claude Code CLI, and the simulator that stands in for it: both below the supervisor.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use async_trait::async_trait;
use claude_comms_model::{Conversation, ConversationId, InstanceId};
use claude_comms_store::Store;
use claude_comms_stream_json::transcript::Fate;
use claude_comms_supervisor::{
    CliVersion, Launch, ProbeError, Program, Session, StartError, Stop, Supervisor, probe_version,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Backend, LaunchMark, NotReady, NotReadyReason, Running, TakeUp, Unclaimed, chain};
use crate::{
    config::{BackendKind, Config, Settings},
    telemetry::Figures,
    transcript,
};

/// What is known of the CLI.
#[derive(Debug, Default)]
struct Probe {
    version: OnceLock<CliVersion>,
    failed: Mutex<Option<(Instant, NotReady)>>,
}

/// The backend that the settings name.
#[derive(Debug)]
pub struct CliBackend {
    kind: BackendKind,
    scenario: Option<PathBuf>,
    binary: PathBuf,
    settings: Settings,
    supervisor: Supervisor,
    store: Arc<dyn Store>,
    probe: Probe,
    figures: Figures,
}

impl CliBackend {
    /// The backend that the settings name.
    pub fn new(settings: Settings, supervisor: Supervisor, store: Arc<dyn Store>, figures: Figures) -> Self {
        let config = settings.now();
        Self {
            kind: config.backend,
            scenario: config.scenario.clone(),
            binary: config.claude.binary.clone(),
            settings,
            supervisor,
            store,
            probe: Probe::default(),
            figures,
        }
    }

    fn session(&self, conversation: &Conversation, take_up: TakeUp) -> (Session, Option<String>) {
        let fresh = || Session::New { id: Uuid::new_v4() };
        let Some(session_id) = conversation.claude_session_id else { return (fresh(), None) };
        let kept = self.store.transcript(conversation.id).exists();
        match (take_up, &conversation.last_assistant_uuid) {
            // Nothing was ever answered, so nothing is lost with the session.
            (TakeUp::BeforeLastPrompt | TakeUp::Nothing, None) => (fresh(), None),
            (TakeUp::Nothing, Some(_)) => {
                (fresh(), Some("the session has become too long for the model".to_owned()))
            }
            (TakeUp::Latest, None) if !kept => (fresh(), None),
            (_, Some(_)) if !kept => (fresh(), Some("the transcript of the session is gone".to_owned())),
            (TakeUp::Latest, _) => (Session::Resume { id: session_id }, None),
            (TakeUp::BeforeLastPrompt, Some(at)) => {
                let id = Uuid::new_v4();
                (Session::Fork { from: session_id, at_assistant: at.clone(), id }, None)
            }
        }
    }

    /// The CLI's path: a bare name is looked for in the PATH that instances see.
    fn program(&self) -> PathBuf {
        find_program(&self.binary, &self.settings.now().instance_environment)
    }

    /// A launch of nobody in particular.
    fn bare_launch(&self, config: &Config, instance: InstanceId, session: Session) -> Launch {
        Launch {
            instance: directory(instance),
            program: match self.kind {
                BackendKind::Claude => Program::Claude { binary: self.program() },
                BackendKind::Simulated => Program::Simulated { scenario: self.scenario.clone() },
            },
            session,
            transcript: None,
            model: config.claude.model.clone(),
            system_prompt: None,
            environment: config.instance_environment.0.clone(),
            extra_args: config.claude.extra_args.clone(),
        }
    }

    async fn mark_of(&self, config: &Config) -> LaunchMark {
        let mut hasher = DefaultHasher::new();
        (&config.claude.model, &config.instance_environment.0, &config.claude.extra_args).hash(&mut hasher);
        if self.kind == BackendKind::Claude {
            let program = self.program();
            // An update puts another file in its place.
            let file = tokio::fs::metadata(&program).await.ok();
            let file = file.map(|file| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()));
            (program, file).hash(&mut hasher);
        }
        LaunchMark(hasher.finish())
    }

    async fn launch(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        model: Option<&str>,
        session: Session,
    ) -> Result<Running, StartError> {
        let (session_id, lends) = match &session {
            Session::New { id } => (*id, false),
            Session::Resume { id } | Session::Fork { id, .. } => (*id, true),
        };
        // What holds when the process starts holds for its life.
        let config = self.settings.now();
        let model = model
            .map(str::to_owned)
            .or_else(|| conversation.model.clone())
            .or_else(|| config.claude.model.clone());
        let launch = Launch {
            transcript: lends.then(|| self.store.transcript(conversation.id)),
            model,
            system_prompt: Some(conversation.system_prompt.clone()).filter(|prompt| !prompt.is_empty()),
            ..self.bare_launch(&config, instance, session)
        };
        let counted = self.figures.process_starts();
        let started = self.supervisor.start(launch).await;
        counted.is(&started);
        let process = started?;
        Ok(Running {
            process: Arc::new(process),
            session_id,
            scene_revision: conversation.scene_revision,
            session_reset: None,
            parked: None,
            session_file: None,
        })
    }
}

#[async_trait]
impl Backend for CliBackend {
    fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    fn version(&self) -> String {
        self.probe.version.get().map(ToString::to_string).unwrap_or_default()
    }

    async fn ready(&self) -> Result<(), NotReady> {
        if self.kind == BackendKind::Simulated {
            return Ok(());
        }
        if self.probe.version.get().is_some() {
            return Ok(());
        }
        // One probe at a time; who waited for it takes its outcome, so that a hanging CLI is not asked by everybody in turn.
        let asked = Instant::now();
        let mut failed = self.probe.failed.lock().await;
        if self.probe.version.get().is_some() {
            return Ok(());
        }
        if let Some((when, not_ready)) = failed.as_ref()
            && *when >= asked
        {
            return Err(not_ready.clone());
        }
        match probe_version(&self.program()).await {
            Ok(version) => {
                let _ = self.probe.version.set(version);
                Ok(())
            }
            Err(error) => {
                let not_ready = not_ready(error);
                *failed = Some((Instant::now(), not_ready.clone()));
                Err(not_ready)
            }
        }
    }

    async fn is_there(&self) -> bool {
        if self.kind == BackendKind::Claude && self.probe.version.get().is_some() {
            let program = self.program();
            let look = move || rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok();
            return tokio::task::spawn_blocking(look).await.unwrap_or(false);
        }
        self.ready().await.is_ok()
    }

    async fn start(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        model: Option<&str>,
        take_up: TakeUp,
    ) -> Result<Running, StartError> {
        let (session, mut reset) = self.session(conversation, take_up);
        match self.launch(instance, conversation, model, session.clone()).await {
            Err(StartError::SessionNotFound { .. }) if !matches!(session, Session::New { .. }) => {
                reset = Some("Claude Code does not know the session any more".to_owned());
                let mut running =
                    self.launch(instance, conversation, model, Session::New { id: Uuid::new_v4() }).await?;
                running.session_reset = reset;
                Ok(running)
            }
            Ok(mut running) => {
                running.session_reset = reset;
                Ok(running)
            }
            Err(error) => Err(error),
        }
    }

    async fn launch_mark(&self) -> LaunchMark {
        let config = self.settings.now();
        self.mark_of(&config).await
    }

    async fn park(&self, instance: InstanceId) -> Result<Running, StartError> {
        let config = self.settings.now();
        let mark = self.mark_of(&config).await;
        let session_id = Uuid::new_v4();
        let launch = self.bare_launch(&config, instance, Session::New { id: session_id });
        let parked = self.supervisor.park(launch).await;
        self.figures.process_parked(parked.is_ok());
        Ok(Running {
            process: Arc::new(parked?),
            session_id,
            scene_revision: 0,
            session_reset: None,
            parked: Some(mark),
            session_file: None,
        })
    }

    async fn claim(&self, mut parked: Running, conversation: &Conversation) -> Result<Running, Unclaimed> {
        let config = self.settings.now();
        let unlike = |model: &String| config.claude.model.as_ref() != Some(model);
        let refused =
            if conversation.claude_session_id.is_some() || conversation.model.as_ref().is_some_and(unlike) {
                Some(Unclaimed::Unfit)
            } else {
                (parked.parked != Some(self.mark_of(&config).await)).then_some(Unclaimed::Outdated)
            };
        if let Some(refused) = refused {
            parked.process.stop(Stop::Now).await;
            return Err(refused);
        }
        let prompt = Some(conversation.system_prompt.as_str()).filter(|prompt| !prompt.is_empty());
        parked.process.claim(prompt).await.map_err(Unclaimed::Failed)?;
        (parked.parked, parked.scene_revision) = (None, conversation.scene_revision);
        Ok(parked)
    }

    fn keep_transcript(&self, instance: InstanceId, conversation: &Conversation, running: &mut Running) {
        let session = running.session_id;
        // To look for it costs more than to keep it, and a session stays where it is.
        let (session, file) = running
            .session_file
            .take()
            .filter(|(found, _)| *found == session)
            .unwrap_or_else(|| (session, self.supervisor.session_file(&directory(instance), session)));
        match self.store.keep_transcript(conversation.id, &file) {
            Ok(()) => running.session_file = Some((session, file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, conversation.id = %conversation.id, "transcript could not be kept");
            }
        }
    }

    fn keep_left_transcript(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        running: &mut Running,
        sent: &[Uuid],
    ) {
        let file = self.supervisor.session_file(&directory(instance), running.session_id);
        if transcript::holds_memory(&file, conversation, sent) {
            self.keep_transcript(instance, conversation, running);
        }
    }

    fn remembers(&self, conversation: ConversationId, user_uuids: &[Uuid]) -> bool {
        transcript::holds_any(&self.store.transcript(conversation), user_uuids)
    }

    fn fate(&self, conversation: ConversationId, user_uuid: Uuid) -> Fate {
        transcript::fate_of(&self.store.transcript(conversation), user_uuid)
    }

    fn remove_instance_dir(&self, instance: InstanceId) {
        if let Err(error) = self.supervisor.remove_instance_dir(&directory(instance))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, instance.id = %instance, "instance directory could not be removed");
        }
    }
}

/// A program's path: a bare name is looked for in the PATH of this environment.
pub(crate) fn find_program(binary: &Path, environment: &crate::config::Variables) -> PathBuf {
    if binary.components().count() > 1 || binary.is_absolute() {
        return binary.to_owned();
    }
    let path = environment.0.get("PATH").map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
    std::env::split_paths(path)
        .map(|dir| dir.join(binary))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| binary.to_owned())
}

/// The name of an instance's directory: the random end of its id. Short, because the CLI puts a socket below it in its
/// OAuth mode, and falls back to a folder that all sessions of the user share where the path exceeds 103 bytes.
pub(crate) fn directory(instance: InstanceId) -> String {
    instance.0.simple().to_string().split_off(20)
}

fn not_ready(error: ProbeError) -> NotReady {
    let reason = match &error {
        ProbeError::TooOld { .. } => NotReadyReason::TooOld,
        _ => NotReadyReason::NotFound,
    };
    NotReady { reason, message: chain(&error) }
}
