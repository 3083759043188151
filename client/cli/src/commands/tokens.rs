//! Tokens: create, list, revoke.

use claude_comms_client::v1;

use super::{PAGE_SIZE, pages};
use crate::{
    args::{Format, Token},
    context::Context,
    exit::{Exit, Failure},
    output::token_views,
};

pub(super) async fn run(context: &mut Context<'_>, token: Token) -> Result<Exit, Failure> {
    match token {
        Token::Create { name, scope, expires } => {
            let lifetime = expires.and_then(|span| prost_types::Duration::try_from(span).ok());
            let request =
                v1::CreateTokenRequest { name, scope: v1::TokenScope::from(scope).into(), lifetime };
            create(context, request).await
        }
        Token::List => list(context).await,
        Token::Revoke { name } => {
            let token = context.patience.wait(context.client.revoke_token(name)).await?;
            context.ui.resource(&token)?;
            Ok(Exit::Done)
        }
    }
}

/// The secret alone goes to standard output, so that it can go straight into a file.
async fn create(context: &mut Context<'_>, request: v1::CreateTokenRequest) -> Result<Exit, Failure> {
    let created = context.patience.wait(context.client.create_token(request)).await?;
    if context.ui.format == Format::Table {
        context.ui.write(&format!("{}\n", created.secret))?;
        let token = created.token.unwrap_or_default();
        context.ui.note(&token_views::created(&token));
    } else {
        context.ui.resource_as(&created, || unreachable!("people are shown the secret alone"))?;
    }
    Ok(Exit::Done)
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let tokens = pages(async |page_token| {
        let request = v1::ListTokensRequest { page_size: PAGE_SIZE, page_token };
        let page = context.patience.wait(context.client.list_tokens(request)).await?;
        Ok((page.tokens, page.next_page_token))
    })
    .await?;
    let list = v1::ListTokensResponse { tokens, next_page_token: String::new() };
    context.ui.list(&list, || token_views::tokens(&list.tokens))?;
    Ok(Exit::Done)
}
