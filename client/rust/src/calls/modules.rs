//! The calls about modules: register, find, preview, ask.

use super::{Repeat, own_request_id};
use crate::{Answer, Client, Error, TurnStream, turn_stream::Origin, v1};

/// Modules.
impl Client {
    /// Registers a module, or a new version of it; the same version with the same content changes nothing.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with every problem of the descriptor, [`Error::FailedPrecondition`] for a version below
    /// the registered one; others by the server's reason.
    pub async fn register_module(&self, request: v1::RegisterModuleRequest) -> Result<v1::Module, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.register_module(request).await }
        })
        .await
    }

    /// Returns one module, or an older version of it.
    ///
    /// # Errors
    /// [`Error::NotFound`], which names near matches, and others by the server's reason.
    pub async fn get_module(&self, request: v1::GetModuleRequest) -> Result<v1::Module, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.get_module(request).await }
        })
        .await
    }

    /// Returns a page of modules, by name.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn list_modules(
        &self,
        request: v1::ListModulesRequest,
    ) -> Result<v1::ListModulesResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.list_modules(request).await }
        })
        .await
    }

    /// Registers a new version of a module that is registered already.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not registered, [`Error::FailedPrecondition`] when the registered digest is another
    /// than the expected one; others as [`Client::register_module`].
    pub async fn update_module(&self, request: v1::UpdateModuleRequest) -> Result<v1::Module, Error> {
        // Once it is done the expected digest is no longer there: repeating it would call a success a conflict.
        let repeat = if request.expected_digest.is_empty() { Repeat::Always } else { Repeat::WhenUnsent };
        self.unary(repeat, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.update_module(request).await }
        })
        .await
    }

    /// Takes a registered module out of the registry and returns what was registered.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn unregister_module(&self, name: impl Into<String>) -> Result<v1::Module, Error> {
        let request = v1::UnregisterModuleRequest { name: name.into() };
        // Once it is done the name is unknown: repeating it would call a success a failure.
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.unregister_module(request).await }
        })
        .await
    }

    /// Returns a page of the modules that fit, best first.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn discover_modules(
        &self,
        request: v1::DiscoverModulesRequest,
    ) -> Result<v1::DiscoverModulesResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.discover_modules(request).await }
        })
        .await
    }

    /// Returns what Claude would be told, without asking it.
    ///
    /// # Errors
    /// As [`Client::query_module`].
    pub async fn preview_context(
        &self,
        request: v1::PreviewContextRequest,
    ) -> Result<v1::ContextPreview, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.preview_context(request).await }
        })
        .await
    }
}

/// Questions to modules.
impl Client {
    /// Asks a module and returns once the turn is accepted; the answer comes through the stream. Without a `request_id`
    /// one is made, so that sending it again after a lost connection is the same turn.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown source or target, which names near matches; [`Error::InvalidArgument`] with every
    /// bad field; others by the server's reason: the turn was not accepted. How it ends is in the stream.
    pub async fn query_module(&self, mut request: v1::QueryModuleRequest) -> Result<TurnStream, Error> {
        own_request_id(&mut request.request_id);
        TurnStream::open(self.clone(), Origin::Module(Box::new(request))).await
    }

    /// Asks a module and waits for the whole answer; demanded data is in its turn.
    ///
    /// # Errors
    /// As [`Client::query_module`]; [`Error::TurnFailed`] when the turn ended without an answer, as with the reasons
    /// `UNANSWERABLE` and `INVALID_OUTPUT`.
    pub async fn ask_module(&self, request: v1::QueryModuleRequest) -> Result<Answer, Error> {
        self.query_module(request).await?.collect().await?.into_result()
    }

    /// Asks a module and returns the accepted turn at once. Without a `request_id` one is made.
    ///
    /// # Errors
    /// As [`Client::query_module`].
    pub async fn submit_module_query(
        &self,
        mut request: v1::SubmitModuleQueryRequest,
    ) -> Result<v1::Turn, Error> {
        own_request_id(&mut request.request_id);
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.modules(), request.clone());
            async move { service.submit_module_query(request).await }
        })
        .await
    }
}
