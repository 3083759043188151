//! All tokens, in memory: what each call is held against. The store has their records; secrets are nowhere.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use claude_comms_model::{Timestamp, TokenRecord, TokenScope};
use claude_comms_store::{Store, StoreError, TokenOutcome, TokenUse};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::Refusal;

/// Name of the token in the data directory.
pub const DEFAULT: &str = "default";
/// What secrets of ours begin with, so that people and scanners know one when they see it.
const PREFIX: &str = "cct_";
/// How often it is written down when tokens were used.
const WRITE_DOWN: Duration = Duration::from_secs(60);
const NEVER: i64 = i64::MIN;

/// The tokens of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    held: RwLock<Known>,
    /// Numbers the looks into the store.
    looks: AtomicU64,
}

/// What memory has of the store.
#[derive(Debug)]
struct Known {
    /// The look it is of.
    look: u64,
    tokens: Arc<[Arc<Held>]>,
}

/// One token.
#[derive(Debug)]
pub(crate) struct Held {
    record: TokenRecord,
    digest: [u8; 32],
    /// Microseconds since 1970, or [`NEVER`].
    last_used: AtomicI64,
    /// Cancelled when it is revoked.
    revoked: CancellationToken,
    built_in: bool,
}

/// Why a call's token is not enough.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is none, or it is not one of ours.
    Unknown(Refusal),
    /// It was one.
    Ended(Refusal, Arc<Held>),
    /// It is one, but not for this.
    TooNarrow(Arc<Held>),
}

/// A secret, and the token that it is of.
#[derive(Debug)]
pub(crate) struct Made {
    pub token: TokenRecord,
    pub secret: SecretString,
}

/// What became of a wish for a token.
#[derive(Debug)]
pub(crate) enum Creation {
    Made(Made),
    /// One of that name is good.
    Taken,
    /// There are as many as there may be.
    Full,
}

impl Tokens {
    /// The store's tokens and, where TCP wants one, the data directory's.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(
        store: Arc<dyn Store>,
        default: Option<&SecretString>,
        now: SystemTime,
    ) -> Result<Self, StoreError> {
        let built_in = default.map(|secret| {
            let digest = digest(secret.expose_secret().as_bytes());
            let record = TokenRecord {
                name: DEFAULT.to_owned(),
                scope: TokenScope::Admin,
                digest: hexadecimal(&digest),
                create_time: now.into(),
                expire_time: None,
                revoke_time: None,
                last_used_time: None,
            };
            Arc::new(Held { built_in: true, ..Held::new(record, digest, None) })
        });
        let tokens = Self(Arc::new(Inner {
            store,
            held: RwLock::new(Known { look: 0, tokens: built_in.into_iter().collect() }),
            looks: AtomicU64::new(0),
        }));
        tokens.reload().await?;
        Ok(tokens)
    }

    /// Writes down, once a minute and at the end, when tokens were used.
    pub(crate) fn keep_uses(&self, tracker: &TaskTracker, ending: CancellationToken) {
        let tokens = self.clone();
        tracker.spawn(async move {
            loop {
                let ended = tokio::select! {
                    () = ending.cancelled() => true,
                    () = tokio::time::sleep(WRITE_DOWN) => false,
                };
                tokens.write_uses().await;
                if ended {
                    return;
                }
            }
        });
    }

    async fn write_uses(&self) {
        let uses: Vec<TokenUse> = self.held().iter().filter_map(|held| held.unwritten_use()).collect();
        if uses.is_empty() {
            return;
        }
        let written = match self.0.store.use_tokens(uses).await {
            Ok(()) => self.reload().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "when tokens were used could not be written down");
        }
    }

    fn held(&self) -> Arc<[Arc<Held>]> {
        Arc::clone(&self.0.held.read().unwrap_or_else(PoisonError::into_inner).tokens)
    }

    /// The token of an `authorization` value, if it reaches as far as `needed`. Every token is looked at to its end: the
    /// time this takes tells nothing of any of them.
    pub(crate) fn check(
        &self,
        authorization: Option<&[u8]>,
        needed: TokenScope,
        now: Timestamp,
    ) -> Result<Arc<Held>, Refused> {
        let given = authorization.ok_or(Refused::Unknown(Refusal::NoToken))?;
        let wrong = || Refused::Unknown(Refusal::WrongToken);
        let bearer = given.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let given = digest(bearer.ok_or_else(wrong)?.1);
        let mut found = None;
        for held in &*self.held() {
            if bool::from(held.digest.ct_eq(&given)) {
                found = Some(Arc::clone(held));
            }
        }
        let held = found.ok_or_else(wrong)?;
        if held.record.revoke_time.is_some() {
            return Err(Refused::Ended(Refusal::RevokedToken, held));
        }
        if held.record.expire_time.is_some_and(|end| end <= now) {
            return Err(Refused::Ended(Refusal::ExpiredToken, held));
        }
        // A second is exact enough, and spares busy callers the shared write.
        if now.0.saturating_sub(held.last_used.load(Ordering::Relaxed)) > 1_000_000 {
            held.last_used.fetch_max(now.0, Ordering::Relaxed);
        }
        if held.record.scope < needed { Err(Refused::TooNarrow(held)) } else { Ok(held) }
    }

    /// Makes a token.
    pub(crate) async fn create(
        &self,
        name: String,
        scope: TokenScope,
        lifetime: Option<Duration>,
    ) -> Result<Creation, StoreError> {
        // 244 random bits from the system.
        let secret = format!("{PREFIX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let now = Timestamp::from(SystemTime::now());
        let token = TokenRecord {
            name,
            scope,
            digest: hexadecimal(&digest(secret.as_bytes())),
            create_time: now,
            expire_time: lifetime.map(|lifetime| now.plus(lifetime)),
            revoke_time: None,
            last_used_time: None,
        };
        match self.0.store.create_token(token.clone()).await? {
            TokenOutcome::Created => {
                self.reload().await?;
                tracing::info!(token.name = token.name, scope = scope.as_str(), "token created");
                Ok(Creation::Made(Made { token, secret: secret.into() }))
            }
            TokenOutcome::Taken(_) => Ok(Creation::Taken),
            TokenOutcome::Full => Ok(Creation::Full),
        }
    }

    /// Ends a token; `None` without it.
    pub(crate) async fn revoke(&self, name: &str) -> Result<Option<TokenRecord>, StoreError> {
        if self.0.store.revoke_token(name.to_owned()).await?.is_none() {
            return Ok(None);
        }
        self.reload().await?;
        tracing::info!(token.name = name, "token revoked");
        Ok(self.list().into_iter().find(|token| token.name == name))
    }

    /// All of them as they are now, by name.
    pub(crate) fn list(&self) -> Vec<TokenRecord> {
        let mut tokens: Vec<TokenRecord> = self.held().iter().map(|held| held.record()).collect();
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        tokens
    }

    /// Whether the data directory's is one of them.
    pub(crate) fn has_default(&self) -> bool {
        self.held().iter().any(|held| held.built_in)
    }

    /// Takes what the store has, unless a later look was faster. Whoever changes the store looks after that, so that
    /// memory never goes back behind a change. Calls under way with a token that was revoked are told.
    async fn reload(&self) -> Result<(), StoreError> {
        let look = self.0.looks.fetch_add(1, Ordering::SeqCst) + 1;
        let records = self.0.store.tokens().await?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.look > look {
            return Ok(());
        }
        let before = &held.tokens;
        let mut tokens: Vec<Arc<Held>> = before.iter().filter(|held| held.built_in).cloned().collect();
        for record in records {
            let known = before.iter().find(|held| !held.built_in && held.record.digest == record.digest);
            let digest = parse(&record.digest)
                .ok_or_else(|| StoreError::Corrupt(format!("token {} has no digest", record.name)))?;
            tokens.push(Arc::new(Held::new(record, digest, known.map(Arc::as_ref))));
        }
        // Its name may have been taken again before this look.
        for gone in before.iter().filter(|gone| !tokens.iter().any(|held| held.digest == gone.digest)) {
            gone.revoked.cancel();
        }
        *held = Known { look, tokens: tokens.into() };
        for held in held.tokens.iter().filter(|held| held.record.revoke_time.is_some()) {
            held.revoked.cancel();
        }
        Ok(())
    }
}

impl Held {
    /// A record as it is now in the store; `before` is the same token as it was.
    fn new(record: TokenRecord, digest: [u8; 32], before: Option<&Self>) -> Self {
        let stored = record.last_used_time.map_or(NEVER, |time| time.0);
        let (used, revoked) = match before {
            Some(before) => (before.last_used.load(Ordering::Relaxed), before.revoked.clone()),
            None => (NEVER, CancellationToken::new()),
        };
        Self { record, digest, last_used: AtomicI64::new(stored.max(used)), revoked, built_in: false }
    }

    pub(crate) fn name(&self) -> &str {
        &self.record.name
    }

    pub(crate) fn scope(&self) -> TokenScope {
        self.record.scope
    }

    pub(crate) fn expire_time(&self) -> Option<Timestamp> {
        self.record.expire_time
    }

    /// Resolves when it is revoked; `None` for one that cannot be.
    pub(crate) fn revoked(&self) -> Option<&CancellationToken> {
        (!self.built_in).then_some(&self.revoked)
    }

    fn record(&self) -> TokenRecord {
        let last_used = self.last_used.load(Ordering::Relaxed);
        TokenRecord {
            last_used_time: (last_used != NEVER).then_some(Timestamp(last_used)),
            ..self.record.clone()
        }
    }

    fn unwritten_use(&self) -> Option<TokenUse> {
        let time = self.record().last_used_time.filter(|time| Some(*time) > self.record.last_used_time)?;
        (!self.built_in).then(|| TokenUse {
            name: self.record.name.clone(),
            digest: self.record.digest.clone(),
            time,
        })
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn hexadecimal(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}
