//! Every call of the contract as a method of [`Client`]; those about modules are in `modules`, about tokens in `tokens`,
//! what operators watch in `watching`, what they do to running instances and to the server in `control`. Streams of turns
//! are made here and live in `turn_stream`.

mod control;
mod modules;
mod tokens;
mod watching;

use std::future::Future;

use backon::Retryable as _;
use tonic::{Response, Status};
use uuid::Uuid;

use crate::{
    Answer, Client, ConversationStream, Error, TurnStream,
    backoff::{self, Patience},
    transport::{Trouble, trouble},
    turn_stream::Origin,
    v1,
};

/// A diagnosis under way. Dropping it ends it.
#[derive(Debug)]
pub struct Diagnosis {
    client: Client,
    results: tonic::Streaming<v1::DiagnosticResult>,
}

impl Diagnosis {
    /// The next result; `None` after the last one.
    ///
    /// # Errors
    /// [`Error`] by the server's reason; the rest is not known then.
    pub async fn next(&mut self) -> Result<Option<v1::DiagnosticResult>, Error> {
        self.results.message().await.map_err(|status| self.client.error(&status))
    }
}

/// When a unary call may be sent again.
#[derive(Clone, Copy)]
enum Repeat {
    /// Also when nobody knows whether the server has seen it.
    Always,
    /// Only when the server has not seen it.
    WhenUnsent,
}

/// Conversations.
impl Client {
    /// Makes a conversation. No process is started before its first turn.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn create_conversation(
        &self,
        request: v1::CreateConversationRequest,
    ) -> Result<v1::Conversation, Error> {
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.create_conversation(request).await }
        })
        .await
    }

    /// Returns one conversation.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn get_conversation(&self, id: impl Into<String>) -> Result<v1::Conversation, Error> {
        let request = v1::GetConversationRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.get_conversation(request).await }
        })
        .await
    }

    /// Returns a page of conversations, newest first.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn list_conversations(
        &self,
        request: v1::ListConversationsRequest,
    ) -> Result<v1::ListConversationsResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.list_conversations(request).await }
        })
        .await
    }

    /// Makes a conversation's context anew, from the modules and templates as they are now.
    ///
    /// # Errors
    /// [`Error::FailedPrecondition`] when it is one without modules or a turn of it has not ended; others by the server's
    /// reason.
    pub async fn upgrade_conversation(&self, id: impl Into<String>) -> Result<v1::Conversation, Error> {
        let request = v1::UpgradeConversationRequest { id: id.into() };
        // Each call counts as an upgrade of its own.
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.upgrade_conversation(request).await }
        })
        .await
    }

    /// Watches a conversation: what was kept of all its turns, if asked for, then what happens. Returns once the watch
    /// stands: nothing that happens from then on is missed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidArgument`] for an `after_sequence` that was not reached, and others by the
    /// server's reason.
    pub async fn watch_conversation(
        &self,
        request: v1::WatchConversationRequest,
    ) -> Result<ConversationStream, Error> {
        ConversationStream::open(self.clone(), request).await
    }
}

/// Turns.
impl Client {
    /// Sends a prompt and returns once the turn is accepted; the answer comes through the stream. Without a
    /// `request_id` one is made, so that sending it again after a lost connection is the same turn.
    ///
    /// # Errors
    /// [`Error`] by the server's reason: the turn was not accepted. How it ends is in the stream.
    pub async fn send_message(&self, mut request: v1::SendMessageRequest) -> Result<TurnStream, Error> {
        own_request_id(&mut request.request_id);
        TurnStream::open(self.clone(), Origin::Send(request)).await
    }

    /// Sends a prompt and waits for the whole answer.
    ///
    /// # Errors
    /// As [`Client::send_message`]; [`Error::TurnFailed`] when the turn ended without an answer.
    pub async fn ask(
        &self,
        conversation_id: impl Into<String>,
        prompt: impl Into<String>,
    ) -> Result<Answer, Error> {
        let request = v1::SendMessageRequest {
            conversation_id: conversation_id.into(),
            prompt: prompt.into(),
            ..Default::default()
        };
        self.send_message(request).await?.collect().await?.into_result()
    }

    /// Sends a prompt and returns the accepted turn at once. Without a `request_id` one is made.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn submit_message(&self, mut request: v1::SubmitMessageRequest) -> Result<v1::Turn, Error> {
        own_request_id(&mut request.request_id);
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.submit_message(request).await }
        })
        .await
    }

    /// Watches a turn: what was kept of it, then what happens, up to its end.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn watch_turn(&self, request: v1::WatchTurnRequest) -> Result<TurnStream, Error> {
        TurnStream::open(self.clone(), Origin::Watch(request)).await
    }

    /// Returns one turn.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn get_turn(&self, id: impl Into<String>) -> Result<v1::Turn, Error> {
        let request = v1::GetTurnRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.get_turn(request).await }
        })
        .await
    }

    /// Returns a page of turns, oldest first unless asked otherwise.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn list_turns(&self, request: v1::ListTurnsRequest) -> Result<v1::ListTurnsResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.list_turns(request).await }
        })
        .await
    }

    /// Waits until a turn has ended, also over lost connections and restarts of the server.
    ///
    /// # Errors
    /// [`Error::TurnLost`] when the server was away for longer than the reconnect timeout; [`Error::NotFound`] and
    /// others by the server's reason.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait, never the turn.
    pub async fn wait_turn(&self, id: impl Into<String>) -> Result<v1::Turn, Error> {
        let request = v1::WaitTurnRequest { id: id.into() };
        // That the turn exists is asked first: it tells a server that was never there from one that went away.
        let turn = self.get_turn(request.id.as_str()).await?;
        if is_terminal(&turn) {
            return Ok(turn);
        }
        let mut patience = Patience::new(self.reconnect_timeout());
        patience.met();
        loop {
            let begun = tokio::time::Instant::now();
            let status = match self.conversations().wait_turn(request.clone()).await {
                Ok(turn) => return Ok(turn.into_inner()),
                Err(status) => status,
            };
            if matches!(trouble(&status), Trouble::Answered) {
                return Err(self.error(&status));
            }
            // A wait that was long was with a server.
            if begun.elapsed() > std::time::Duration::from_secs(5) {
                patience.met();
            }
            match patience.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => {
                    return Err(Error::TurnLost {
                        turn_id: request.id,
                        waited: patience.waited(),
                        source: Box::new(self.error(&status)),
                    });
                }
            }
        }
    }

    /// Ends a turn that has not ended and returns it after that.
    ///
    /// # Errors
    /// [`Error::FailedPrecondition`] when it had ended otherwise; others by the server's reason.
    pub async fn cancel_turn(&self, id: impl Into<String>) -> Result<v1::Turn, Error> {
        let request = v1::CancelTurnRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.conversations(), request.clone());
            async move { service.cancel_turn(request).await }
        })
        .await
    }
}

/// Instances.
impl Client {
    /// Starts an instance and returns once its process takes turns.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is taken, [`Error::ResourceExhausted`] when every slot is pinned; others by
    /// the server's reason, with what the process wrote to standard error.
    pub async fn start_instance(&self, request: v1::StartInstanceRequest) -> Result<v1::Instance, Error> {
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.start_instance(request).await }
        })
        .await
    }

    /// Returns one instance, by ID or name.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn get_instance(&self, id: impl Into<String>) -> Result<v1::Instance, Error> {
        let request = v1::GetInstanceRequest { id: id.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.get_instance(request).await }
        })
        .await
    }

    /// Returns a page of instances, oldest first.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn list_instances(
        &self,
        request: v1::ListInstancesRequest,
    ) -> Result<v1::ListInstancesResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.list_instances(request).await }
        })
        .await
    }

    /// Ends an instance for good and returns it after that.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn stop_instance(&self, request: v1::StopInstanceRequest) -> Result<v1::Instance, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.instances(), request.clone());
            async move { service.stop_instance(request).await }
        })
        .await
    }

    /// Sends a prompt to the instance's conversation, as [`Client::send_message`] does.
    ///
    /// # Errors
    /// As [`Client::send_message`].
    pub async fn query_instance(&self, mut request: v1::QueryInstanceRequest) -> Result<TurnStream, Error> {
        own_request_id(&mut request.request_id);
        TurnStream::open(self.clone(), Origin::Query(request)).await
    }
}

/// The server itself.
impl Client {
    /// Returns what the server is and what it is doing now.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn server_info(&self) -> Result<v1::ServerInfo, Error> {
        self.unary(Repeat::Always, || {
            let mut service = self.diagnostics();
            async move { service.get_server_info(v1::GetServerInfoRequest {}).await }
        })
        .await
    }

    /// Returns what the server has counted since its start.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn statistics(&self) -> Result<v1::Statistics, Error> {
        self.unary(Repeat::Always, || {
            let mut service = self.diagnostics();
            async move { service.get_statistics(v1::GetStatisticsRequest {}).await }
        })
        .await
    }

    /// Lets the server check itself, its surroundings and the CLI: each result comes when it is there. With `turn` set one
    /// real turn is made, which costs.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn diagnose(&self, request: v1::DiagnoseRequest) -> Result<Diagnosis, Error> {
        let results = self
            .unary(Repeat::Always, || {
                let (mut service, request) = (self.diagnostics(), request.clone());
                async move { service.diagnose(request).await }
            })
            .await?;
        Ok(Diagnosis { client: self.clone(), results })
    }

    async fn unary<T, F, Fut>(&self, repeat: Repeat, call: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        call.retry(backoff::short())
            .when(|status| match trouble(status) {
                Trouble::NotConnected(_) => true,
                Trouble::Broken => matches!(repeat, Repeat::Always),
                // It said so itself: a server that drains does not come back within a few tries.
                Trouble::Unavailable | Trouble::Answered => false,
            })
            .await
            .map(Response::into_inner)
            .map_err(|status| self.error(&status))
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        Error::from_status(status, &self.endpoint().to_string())
    }
}

/// A request that has an ID may be sent again.
fn own_request_id(request_id: &mut String) {
    if request_id.is_empty() {
        *request_id = Uuid::new_v4().to_string();
    }
}

fn is_terminal(turn: &v1::Turn) -> bool {
    matches!(turn.state(), v1::TurnState::Completed | v1::TurnState::Failed | v1::TurnState::Cancelled)
}
