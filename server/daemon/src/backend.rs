//! What answers turns: turns a conversation into a running process. The pool and the turns know no backend by name.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use claude_comms_model::{Conversation, ConversationId, InstanceId};
use claude_comms_store::Store;
use claude_comms_supervisor::{
    CliVersion, Launch, ProbeError, Process, Program, Session, StartError, Supervisor, probe_version,
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    config::{BackendKind, Settings},
    telemetry::Figures,
    transcript,
};

/// A process and the Claude session it holds.
#[derive(Debug, Clone)]
pub struct Running {
    /// The process.
    pub process: Process,
    /// Its session.
    pub session_id: Uuid,
    /// Which of its conversation's contexts it was told.
    pub scene_revision: u32,
    /// Set when the conversation's memory could not be resumed: why.
    pub session_reset: Option<String>,
    /// Where the CLI keeps a session, once it was found.
    session_file: Option<(Uuid, PathBuf)>,
}

/// Where a new process takes up the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeUp {
    /// With all that Claude remembers.
    Latest,
    /// From before the last prompt, which a process took with it when it died.
    BeforeLastPrompt,
}

/// What is wrong with a backend that cannot take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReadyReason {
    /// The CLI is not there, or does not run.
    NotFound,
    /// It is older than the oldest that is supported.
    TooOld,
}

impl NotReadyReason {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "CLAUDE_NOT_FOUND",
            Self::TooOld => "CLAUDE_TOO_OLD",
        }
    }
}

/// A backend that cannot take turns.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct NotReady {
    /// Why.
    pub reason: NotReadyReason,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// What is known of the CLI.
#[derive(Debug, Default)]
struct Probe {
    version: OnceLock<CliVersion>,
    failed: Mutex<Option<(Instant, NotReady)>>,
}

/// The backend.
#[derive(Debug, Clone)]
pub struct Backend {
    kind: BackendKind,
    scenario: Option<PathBuf>,
    binary: PathBuf,
    settings: Settings,
    supervisor: Supervisor,
    store: Arc<dyn Store>,
    probe: Arc<Probe>,
    figures: Figures,
}

impl Backend {
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
            probe: Arc::default(),
            figures,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Whether it could take a turn now. Cheap once it was found.
    ///
    /// # Errors
    /// [`NotReady`].
    pub async fn ready(&self) -> Result<(), NotReady> {
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

    /// Whether its program is there now; one that was not, or could not be used, is tried again. To be asked now and
    /// then: it looks at the file system.
    pub(crate) async fn is_there(&self) -> bool {
        if self.kind == BackendKind::Claude && self.probe.version.get().is_some() {
            let program = self.program();
            let look = move || rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok();
            return tokio::task::spawn_blocking(look).await.unwrap_or(false);
        }
        self.ready().await.is_ok()
    }

    /// The CLI's version; empty when it is not known.
    pub fn version(&self) -> String {
        self.probe.version.get().map(ToString::to_string).unwrap_or_default()
    }

    /// Starts a process for an instance, with what Claude remembers of the conversation (`None`: a new one).
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(
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

    fn session(&self, conversation: &Conversation, take_up: TakeUp) -> (Session, Option<String>) {
        let fresh = || Session::New { id: Uuid::new_v4() };
        let Some(session_id) = conversation.claude_session_id else { return (fresh(), None) };
        let kept = self.store.transcript(conversation.id).exists();
        match (take_up, &conversation.last_assistant_uuid) {
            // Nothing was ever answered, so nothing is lost with the session.
            (TakeUp::BeforeLastPrompt, None) => (fresh(), None),
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
            instance: directory(instance),
            program: match self.kind {
                BackendKind::Claude => Program::Claude { binary: self.program() },
                BackendKind::Simulated => Program::Simulated { scenario: self.scenario.clone() },
            },
            session,
            transcript: lends.then(|| self.store.transcript(conversation.id)),
            model,
            system_prompt: Some(conversation.system_prompt.clone()).filter(|prompt| !prompt.is_empty()),
            environment: config.instance_environment.0.clone(),
            extra_args: config.claude.extra_args.clone(),
        };
        let counted = self.figures.process_starts();
        let started = self.supervisor.start(launch).await;
        counted.is(&started);
        let process = started?;
        Ok(Running {
            process,
            session_id,
            scene_revision: conversation.scene_revision,
            session_reset: None,
            session_file: None,
        })
    }

    /// Keeps the session's file as the conversation's transcript, if there is one yet.
    pub fn keep_transcript(&self, instance: InstanceId, conversation: &Conversation, running: &mut Running) {
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

    /// As [`Self::keep_transcript`], of a process that is gone: unless that would lose what is kept already.
    pub fn keep_left_transcript(
        &self,
        instance: InstanceId,
        conversation: &Conversation,
        running: &mut Running,
    ) {
        let file = self.supervisor.session_file(&directory(instance), running.session_id);
        if transcript::holds_memory(&file, conversation) {
            self.keep_transcript(instance, conversation, running);
        }
    }

    /// Whether the transcript that is kept holds one of these messages.
    pub fn remembers(&self, conversation: ConversationId, user_uuids: &[Uuid]) -> bool {
        transcript::holds_any(&self.store.transcript(conversation), user_uuids)
    }

    /// Removes what an instance left on disk.
    pub fn remove_instance_dir(&self, instance: InstanceId) {
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

/// An error with all its sources, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
