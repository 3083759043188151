//! From a question to what is sent: the conversation it belongs to, or the one to make, and its message.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use claude_comms_context::{
    Ask, Composer, Focus, Message, Overrides, PastTurn, Report, answer::OutputSchema, estimate_tokens,
};
use claude_comms_descriptors::Descriptor;
use claude_comms_model::{Asked, AskedLimits, Conversation, ConversationId, Timestamp, Turn, TurnState};
use claude_comms_store::{NewConversation, Store, TurnQuery};
use uuid::Uuid;

use super::{Place, Query, QueryError};
use crate::{
    budget,
    modules::{Modules, Scenery},
};

/// Earlier turns that a template can show at most.
const HISTORY: usize = 100;
/// Prompts above this are rendered on a thread that may block.
const INLINE_BYTES: usize = 32 << 10;
/// Scenes, together with the prompt, above this likewise.
const INLINE_SCENE_BYTES: usize = 256 << 10;

/// A question, ready to be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its conversation; not in the store yet where one is to be made.
    pub conversation: Conversation,
    /// The conversation to make with it.
    pub new: Option<Box<NewConversation>>,
    /// What the system prompt holds; `None` for a conversation that has one already.
    pub context: Option<Report>,
    /// The message; `None` where the prompt goes unchanged.
    pub message: Option<Message>,
    /// The schema that its data must fit.
    pub output_schema: Option<String>,
    /// The longest time that the target allows.
    pub limit: Option<Duration>,
    /// What else it allows.
    pub allowed: AskedLimits,
}

impl Prepared {
    /// What the turn's record remembers of its message.
    pub(crate) fn asked(&self, query: &Query) -> Option<Box<Asked>> {
        let message = self.message.as_ref()?;
        Some(Box::new(Asked {
            message: message.text.clone(),
            template: message.template.clone(),
            capability: query.capability.clone(),
            output_schema: self.output_schema.clone(),
            limits: self.allowed,
        }))
    }
}

/// What preparing works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparing<'a> {
    pub store: &'a Arc<dyn Store>,
    pub modules: &'a Modules,
}

impl Preparing<'_> {
    /// Makes context and message.
    ///
    /// # Errors
    /// [`QueryError`]; nothing was written.
    pub(crate) async fn prepare(self, query: &Query) -> Result<Prepared, QueryError> {
        match &query.place {
            Place::Pair { source, target } => self.in_new_conversation(query, source, target).await,
            Place::Conversation(id) => self.in_conversation(query, *id).await,
        }
    }

    /// The conversation that a pair of modules would have, without a word said.
    ///
    /// # Errors
    /// [`QueryError`].
    pub(crate) async fn conversation_between(
        self,
        source: &str,
        target: &str,
        overrides: Overrides,
        focus: Focus<'_>,
    ) -> Result<(NewConversation, Report, Scenery), QueryError> {
        let scenery = self.modules.scenery(source, target, overrides).await?;
        let context = if focus.prompt.len() + scenery.scene.json.len() <= INLINE_SCENE_BYTES {
            scenery.composer.system_prompt(focus)?
        } else {
            let composer = Arc::clone(&scenery.composer);
            let (prompt, capability) = (focus.prompt.to_owned(), focus.capability.map(str::to_owned));
            apart(move || {
                composer.system_prompt(Focus { prompt: &prompt, capability: capability.as_deref() })
            })
            .await??
        };
        let model = target_of(&scenery.composer).and_then(|target| target.limits.model.clone());
        let new = NewConversation {
            id: ConversationId(Uuid::now_v7()),
            title: String::new(),
            system_prompt: context.text,
            model,
            labels: std::collections::BTreeMap::new(),
            source_module: scenery.source.clone(),
            target_module: scenery.target.clone(),
            scene: Some(scenery.scene.as_ref().clone()),
        };
        Ok((new, context.report, scenery))
    }

    async fn in_new_conversation(
        self,
        query: &Query,
        source: &str,
        target: &str,
    ) -> Result<Prepared, QueryError> {
        let capability = Some(query.capability.as_str()).filter(|name| !name.is_empty());
        let focus = Focus { prompt: &query.prompt, capability };
        let (new, context, scenery) =
            self.conversation_between(source, target, query.overrides.clone(), focus).await?;
        let new = NewConversation { title: title(&query.prompt), ..new };
        let now = Timestamp::from(SystemTime::now());
        let conversation = Conversation {
            title: new.title.clone(),
            system_prompt: new.system_prompt.clone(),
            model: new.model.clone(),
            source_module: new.source_module.clone(),
            target_module: new.target_module.clone(),
            scene: scenery.scene.digest.clone(),
            ..Conversation::new(new.id, now)
        };
        let (message, output_schema) =
            self.message(query, &conversation, &scenery.composer, Some(context.tokens)).await?;
        Ok(Prepared {
            conversation,
            new: Some(Box::new(new)),
            context: Some(context),
            message: Some(message),
            output_schema,
            limit: limit_of(&scenery.composer),
            allowed: allowed_by(&scenery.composer),
        })
    }

    async fn in_conversation(self, query: &Query, id: ConversationId) -> Result<Prepared, QueryError> {
        let conversation = self.store.conversation(id).await?.ok_or(QueryError::NoConversation(id))?;
        if query.overrides != Overrides::default() {
            return Err(bad(
                "context_overrides",
                "change the context of a new conversation only; leave out conversation_id, or leave them out",
            ));
        }
        if query.instance.is_some() && query.is_plain() {
            // What is sent to an instance is sent as it is, whatever its conversation is made of.
            let (context, message, output_schema, limit) = (None, None, None, None);
            let allowed = AskedLimits::default();
            return Ok(Prepared { conversation, new: None, context, message, output_schema, limit, allowed });
        }
        let composer = if conversation.scene.is_empty() {
            if !query.capability.is_empty() {
                return Err(bad("capability", "needs a conversation with a target module"));
            }
            if query.is_plain() {
                let (context, message, output_schema, limit) = (None, None, None, None);
                let allowed = AskedLimits::default();
                return Ok(Prepared {
                    conversation,
                    new: None,
                    context,
                    message,
                    output_schema,
                    limit,
                    allowed,
                });
            }
            self.modules.scenery("", "", Overrides::default()).await?.composer
        } else {
            self.modules.composer(&conversation.scene).await?
        };
        let made = self.message(query, &conversation, &composer, None).await;
        let (message, output_schema) = made.map_err(|error| older_templates(error, &conversation))?;
        Ok(Prepared {
            conversation,
            new: None,
            context: None,
            message: Some(message),
            output_schema,
            limit: limit_of(&composer),
            allowed: allowed_by(&composer),
        })
    }

    async fn message(
        self,
        query: &Query,
        conversation: &Conversation,
        composer: &Arc<Composer>,
        fixed_tokens: Option<u32>,
    ) -> Result<(Message, Option<String>), QueryError> {
        let history = match (query.template.as_str(), conversation.turn_count) {
            ("", _) | (_, 0) => Vec::new(),
            _ => self.history(conversation.id).await?,
        };
        let work = Work {
            composer: Arc::clone(composer),
            query: query.clone(),
            first: conversation.turn_count == 0,
            fixed_tokens: fixed_tokens.unwrap_or_else(|| estimate_tokens(&conversation.system_prompt)),
            history,
        };
        let small = query.prompt.len() + query.output_schema.len() <= INLINE_BYTES && work.history.is_empty();
        if small { work.run() } else { apart(move || work.run()).await? }
    }

    /// What was said so far, oldest first.
    async fn history(self, id: ConversationId) -> Result<Vec<PastTurn>, QueryError> {
        let query = TurnQuery {
            conversation_id: Some(id),
            newest_first: true,
            limit: HISTORY,
            ..TurnQuery::default()
        };
        let mut turns = self.store.turns(query).await?.items;
        turns.reverse();
        Ok(turns.iter().map(past).collect())
    }
}

/// The making of a message, as something that can move to another thread.
struct Work {
    composer: Arc<Composer>,
    query: Query,
    first: bool,
    fixed_tokens: u32,
    history: Vec<PastTurn>,
}

/// Does work that takes long on a thread that may block.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        QueryError::Unusable("the message could not be made; the server's log says more".to_owned())
    })
}

impl Work {
    fn run(self) -> Result<(Message, Option<String>), QueryError> {
        let output = output(&self.query, &self.composer)?;
        let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let (template, capability) = (given(&self.query.template), given(&self.query.capability));
        let message = self.composer.message(&Ask {
            template: template.as_deref(),
            first: self.first,
            prompt: &self.query.prompt,
            parameters: &self.query.parameters,
            capability: capability.as_deref(),
            output: output.as_ref(),
            history: &self.history,
            fixed_tokens: self.fixed_tokens,
        })?;
        // Kept without the white space that makes it readable: that is what was checked for its size.
        Ok((message, output.map(|schema| schema.value().to_string())))
    }
}

/// The schema that the answer's data must fit: the request's, else the capability's.
fn output(query: &Query, composer: &Composer) -> Result<Option<OutputSchema>, QueryError> {
    if !query.output_schema.is_empty() {
        return OutputSchema::parse(&query.output_schema)
            .map(Some)
            .map_err(|problem| bad("output_schema", &problem.to_string()));
    }
    if query.capability.is_empty() {
        return Ok(None);
    }
    // An unknown capability is the composer's to refuse, with near matches.
    let capability = target_of(composer).and_then(|target| target.capability(&query.capability));
    let Some(schema) = capability.and_then(|capability| capability.output.as_ref()) else { return Ok(None) };
    OutputSchema::compile(schema).map(Some).map_err(|problem| {
        QueryError::Unusable(format!("the output schema of {}: {problem}", query.capability))
    })
}

fn target_of(composer: &Composer) -> Option<&Descriptor> {
    composer.scene().target.as_ref().map(|party| &party.descriptor)
}

fn limit_of(composer: &Composer) -> Option<Duration> {
    let timeout = target_of(composer)?.limits.timeout.as_deref()?;
    humantime::parse_duration(timeout).ok().filter(|limit| !limit.is_zero())
}

/// What the target allows one question beside its time.
fn allowed_by(composer: &Composer) -> AskedLimits {
    let Some(target) = target_of(composer) else { return AskedLimits::default() };
    AskedLimits {
        rounds: target.limits.max_turns,
        budget_nano_usd: target.limits.budget_usd.map(budget::nano),
    }
}

fn past(turn: &Turn) -> PastTurn {
    let answer = match &turn.state {
        TurnState::Completed { text, .. } => text.clone(),
        TurnState::Queued
        | TurnState::Running { .. }
        | TurnState::Failed { .. }
        | TurnState::Cancelled { .. } => String::new(),
    };
    PastTurn { prompt: turn.prompt.clone(), answer, state: turn.state.kind().as_str().to_owned() }
}

/// A title for a conversation: the beginning of its first prompt.
fn title(prompt: &str) -> String {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let short: String = line.chars().take(80).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// Tells that a conversation keeps the templates that it began with.
fn older_templates(error: QueryError, conversation: &Conversation) -> QueryError {
    let QueryError::Fields(mut fields) = error else { return error };
    for (field, problem) in &mut fields {
        if field == "template" && !conversation.scene.is_empty() {
            problem.push_str(
                "; the conversation keeps the templates that it began with: upgrade it to take those of now",
            );
        }
    }
    QueryError::Fields(fields)
}

fn bad(field: &str, problem: &str) -> QueryError {
    QueryError::Fields(vec![(field.to_owned(), problem.to_owned())])
}
