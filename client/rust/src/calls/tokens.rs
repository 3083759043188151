//! The calls about tokens: make, list, revoke.

use super::Repeat;
use crate::{Client, Error, v1};

/// Tokens.
impl Client {
    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when one of that name is good, [`Error::PermissionDenied`] when this client's own token
    /// is no admin; others by the server's reason.
    pub async fn create_token(
        &self,
        request: v1::CreateTokenRequest,
    ) -> Result<v1::CreateTokenResponse, Error> {
        // Done a second time it would find the name taken, and the secret would be lost.
        self.unary(Repeat::WhenUnsent, || {
            let (mut service, request) = (self.tokens(), request.clone());
            async move { service.create_token(request).await }
        })
        .await
    }

    /// Returns a page of tokens, by name.
    ///
    /// # Errors
    /// [`Error`] by the server's reason.
    pub async fn list_tokens(&self, request: v1::ListTokensRequest) -> Result<v1::ListTokensResponse, Error> {
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.tokens(), request.clone());
            async move { service.list_tokens(request).await }
        })
        .await
    }

    /// Ends a token at once and returns it.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others by the server's reason.
    pub async fn revoke_token(&self, name: impl Into<String>) -> Result<v1::Token, Error> {
        let request = v1::RevokeTokenRequest { name: name.into() };
        self.unary(Repeat::Always, || {
            let (mut service, request) = (self.tokens(), request.clone());
            async move { service.revoke_token(request).await }
        })
        .await
    }
}
