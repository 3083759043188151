//! `TokenService`.

use std::time::Duration;

use claude_comms_model::{TokenRecord, TokenScope};
use claude_comms_proto::v1::{self, token_service_server::TokenService};
use claude_comms_store::TOKENS;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::{
    Context, convert,
    page::page,
    status::{ApiError, TokenFailure},
    validate::Check,
};
use crate::auth::{Creation, DEFAULT, Made};

/// Longest life of a token.
const LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// The handlers of `TokenService`.
#[derive(Debug, Clone)]
pub(crate) struct TokenHandlers(pub Context);

#[tonic::async_trait]
impl TokenService for TokenHandlers {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.name("name", &request.name);
        if request.name.is_empty() {
            check.bad("name", "is required");
        }
        let scope = scope(request.scope);
        if scope.is_none() {
            check.bad("scope", "is required: read, query or admin");
        }
        let lifetime = request.lifetime.map(Duration::try_from);
        if !matches!(lifetime, None | Some(Ok(_)))
            || matches!(lifetime, Some(Ok(span)) if span.is_zero() || span > LIFETIME)
        {
            check.bad("lifetime", "must be more than zero and at most ten years");
        }
        let scope = check.need(scope)?;
        if request.name == DEFAULT {
            return Err(ApiError::Token(TokenFailure::BuiltIn(DEFAULT)).into());
        }
        let lifetime = lifetime.and_then(Result::ok);
        let creation = self.0.tokens.create(request.name.clone(), scope, lifetime).await;
        match creation.map_err(ApiError::Store)? {
            Creation::Made(Made { token, secret }) => Ok(Response::new(v1::CreateTokenResponse {
                token: Some(shown(token)),
                secret: secret.expose_secret().to_owned(),
            })),
            Creation::Taken => Err(ApiError::Token(TokenFailure::NameTaken(request.name)).into()),
            Creation::Full => Err(ApiError::Token(TokenFailure::TooMany(TOKENS)).into()),
        }
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let size = check.page_size(request.page_size);
        check.done()?;
        let tokens = self.0.tokens.list();
        let (tokens, next_page_token) = page(tokens, &request.page_token, size, |token| token.name.clone());
        let tokens = tokens.into_iter().map(shown).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::Token>, Status> {
        let name = request.into_inner().name;
        let mut check = Check::default();
        check.name("name", &name);
        if name.is_empty() {
            check.bad("name", "is required");
        }
        check.done()?;
        if name == DEFAULT && self.0.tokens.has_default() {
            return Err(ApiError::Token(TokenFailure::BuiltIn(DEFAULT)).into());
        }
        let revoked = self.0.tokens.revoke(&name).await.map_err(ApiError::Store)?;
        let revoked = revoked.ok_or(ApiError::Token(TokenFailure::NotFound(name)))?;
        Ok(Response::new(shown(revoked)))
    }
}

fn scope(wire: i32) -> Option<TokenScope> {
    match v1::TokenScope::try_from(wire).ok()? {
        v1::TokenScope::Unspecified => None,
        v1::TokenScope::Read => Some(TokenScope::Read),
        v1::TokenScope::Query => Some(TokenScope::Query),
        v1::TokenScope::Admin => Some(TokenScope::Admin),
    }
}

fn shown(token: TokenRecord) -> v1::Token {
    let scope = match token.scope {
        TokenScope::Read => v1::TokenScope::Read,
        TokenScope::Query => v1::TokenScope::Query,
        TokenScope::Admin => v1::TokenScope::Admin,
    };
    v1::Token {
        name: token.name,
        scope: scope.into(),
        create_time: Some(convert::timestamp(token.create_time)),
        expire_time: token.expire_time.map(convert::timestamp),
        revoke_time: token.revoke_time.map(convert::timestamp),
        last_used_time: token.last_used_time.map(convert::timestamp),
    }
}
