//! Tokens: which name is free, and which records are remembered. Knows no secret.

use claude_comms_model::TokenRecord;
use redb::{ReadTransaction, ReadableTable};

use super::{
    reading::Trouble,
    rows, schema,
    tables::{Fault, OrBroken, Tables},
};
use crate::{ENDED_TOKENS, TOKENS, TokenOutcome, TokenUse};

/// Keeps a token, and of those that ended before it only the last.
pub(crate) fn create(tables: &mut Tables<'_>, token: TokenRecord) -> Result<TokenOutcome, Fault> {
    let now = tables.now();
    let mut known = tables.all_tokens()?;
    if let Some(place) = known.iter().position(|other| other.name == token.name) {
        let other = known.swap_remove(place);
        if other.end(now).is_none() {
            return Ok(TokenOutcome::Taken(Box::new(other)));
        }
    }
    let (mut ended, good): (Vec<_>, Vec<_>) = known.into_iter().partition(|other| other.end(now).is_some());
    if good.len() >= TOKENS {
        return Ok(TokenOutcome::Full);
    }
    ended.sort_by_key(|other| other.end(now));
    let too_many = ended.len().saturating_sub(ENDED_TOKENS);
    tables.put_token(&token)?;
    for other in ended.drain(..too_many) {
        tables.remove_token(&other.name)?;
    }
    Ok(TokenOutcome::Created)
}

/// Ends a token now.
pub(crate) fn revoke(tables: &mut Tables<'_>, name: &str) -> Result<Option<TokenRecord>, Fault> {
    let Some(mut token) = tables.token(name)? else { return Ok(None) };
    if token.revoke_time.is_none() {
        token.revoke_time = Some(tables.now());
        tables.put_token(&token)?;
    }
    Ok(Some(token))
}

/// Writes down uses. They come late and out of order: a time never goes back.
pub(crate) fn used(tables: &mut Tables<'_>, uses: Vec<TokenUse>) -> Result<(), Fault> {
    for one in uses {
        let Some(mut token) = tables.token(&one.name)? else { continue };
        if token.digest == one.digest && token.last_used_time < Some(one.time) {
            token.last_used_time = Some(one.time);
            tables.put_token(&token)?;
        }
    }
    Ok(())
}

/// All that are remembered, by name.
pub(crate) fn all(snapshot: &ReadTransaction) -> Result<Vec<TokenRecord>, Trouble> {
    let mut tokens = Vec::new();
    for row in snapshot.open_table(schema::TOKENS)?.iter()? {
        tokens.push(rows::decode("token", row?.1.value())?);
    }
    Ok(tokens)
}

impl Tables<'_> {
    fn token(&self, name: &str) -> Result<Option<TokenRecord>, Fault> {
        let row = self.tokens.read()?.get(name).or_broken()?;
        Ok(row.map(|row| rows::decode("token", row.value())).transpose()?)
    }

    fn all_tokens(&self) -> Result<Vec<TokenRecord>, Fault> {
        let rows = self.tokens.read()?.iter().or_broken()?;
        rows.map(|row| Ok(rows::decode("token", row.or_broken()?.1.value())?)).collect()
    }

    fn put_token(&mut self, token: &TokenRecord) -> Result<(), Fault> {
        self.wrote = true;
        rows::encode(token, self.buffer);
        self.tokens.write()?.insert(token.name.as_str(), self.buffer.as_slice()).or_broken()?;
        Ok(())
    }

    fn remove_token(&mut self, name: &str) -> Result<(), Fault> {
        self.wrote = true;
        self.tokens.write()?.remove(name).or_broken()?;
        Ok(())
    }
}
