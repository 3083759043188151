//! `ModuleService`.

use claude_comms_context::{Place as SectionPlace, Report};
use claude_comms_descriptors::registry::{self, Origin};
use claude_comms_proto::v1::{self, module_service_server::ModuleService};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    Context,
    convert::{self, Shown, cut},
    events::TurnEvents,
    module_view::{self, Detail},
    status::ApiError,
    validate::{Check, shortened},
};
use crate::{
    dispatcher::Submitted,
    modules::Registering,
    query::{Place, Query},
};

/// Longest descriptor, bytes.
const DESCRIPTOR_BYTES: usize = 512 << 10;
/// Longest path and other short texts, bytes.
const SHORT_BYTES: usize = 4 << 10;
/// Longest part of a preview, bytes: both parts must fit one message.
const PREVIEW_BYTES: usize = 1 << 20;
/// Most revisions shown.
const REVISIONS: usize = 1000;

/// The handlers of `ModuleService`.
#[derive(Debug, Clone)]
pub(crate) struct ModuleHandlers(pub Context);

/// The fields that a query and a preview share.
struct Asking<'a> {
    source: &'a str,
    target: &'a str,
    conversation_id: &'a str,
    prompt: String,
    capability: String,
    output_schema: String,
    template: String,
    parameters: Option<prost_types::Struct>,
    overrides: Option<v1::ContextOverrides>,
    request_id: &'a str,
    timeout: Option<&'a prost_types::Duration>,
}

macro_rules! asking {
    ($request:expr, $request_id:expr, $timeout:expr) => {
        Asking {
            source: &$request.source,
            target: &$request.target,
            conversation_id: &$request.conversation_id,
            prompt: $request.prompt.clone(),
            capability: $request.capability.clone(),
            output_schema: $request.output_schema.clone(),
            template: $request.template.clone(),
            parameters: $request.parameters.clone(),
            overrides: $request.context_overrides.clone(),
            request_id: $request_id,
            timeout: $timeout,
        }
    };
}

impl ModuleHandlers {
    /// Checks a question as far as it can be checked without knowing the modules.
    async fn query(&self, asking: Asking<'_>) -> Result<Query, ApiError> {
        let mut check = Check::default();
        check.optional_prompt(&asking.prompt, self.0.prompt_limit_bytes);
        check.module("source", asking.source);
        check.module("target", asking.target);
        check.module("capability", &asking.capability);
        check.template(&asking.template);
        check.text("output_schema", &asking.output_schema, 256 << 10);
        let parameters = check.parameters(asking.parameters);
        let overrides = check.overrides(asking.overrides);
        let request_id = check.request_id(asking.request_id);
        let timeout = asking.timeout.map(|given| check.timeout(Some(given), self.0.turn_timeout()));
        let conversation = match asking.conversation_id {
            "" => None,
            text => check.id("conversation_id", text),
        };
        if asking.conversation_id.is_empty() && asking.target.is_empty() {
            check.bad("target", "is required; give the name of a module, or a conversation_id");
        }
        check.done()?;
        let place = match conversation {
            None => Place::Pair { source: asking.source.to_owned(), target: asking.target.to_owned() },
            Some(id) => {
                let found = self.0.conversation(id).await?;
                module_view::fits(&found, asking.source, asking.target)?;
                Place::Conversation(id)
            }
        };
        Ok(Query {
            place,
            prompt: asking.prompt,
            capability: asking.capability,
            output_schema: asking.output_schema,
            template: asking.template,
            parameters,
            overrides,
            request_id,
            timeout,
            instance: None,
        })
    }

    fn view(&self, entry: &registry::Entry, detail: Detail) -> v1::Module {
        module_view::module(&self.0.modules.registry(), entry, detail)
    }
}

#[tonic::async_trait]
impl ModuleService for ModuleHandlers {
    type QueryModuleStream = TurnEvents;

    async fn register_module(
        &self,
        request: Request<v1::RegisterModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.module("name", &request.name);
        check.text("descriptor", &request.descriptor, DESCRIPTOR_BYTES);
        check.text("path", &request.path, SHORT_BYTES);
        check.done()?;
        let new = Registering {
            name: request.name,
            descriptor: request.descriptor,
            path: Some(request.path),
            force: request.force,
            ..Registering::default()
        };
        let entry = self.0.modules.register(new).await.map_err(ApiError::from)?;
        Ok(Response::new(self.view(&entry, Detail::Whole)))
    }

    async fn update_module(
        &self,
        request: Request<v1::UpdateModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.needed_module("name", &request.name);
        check.text("descriptor", &request.descriptor, DESCRIPTOR_BYTES);
        check.text("path", request.path.as_deref().unwrap_or_default(), SHORT_BYTES);
        check.text("expected_digest", &request.expected_digest, 64);
        check.done()?;
        let new = Registering {
            name: request.name,
            descriptor: request.descriptor,
            path: request.path,
            force: request.force,
            must_exist: true,
            expected_digest: Some(request.expected_digest).filter(|digest| !digest.is_empty()),
        };
        let entry = self.0.modules.register(new).await.map_err(ApiError::from)?;
        Ok(Response::new(self.view(&entry, Detail::Whole)))
    }

    async fn get_module(
        &self,
        request: Request<v1::GetModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        check.needed_module("name", &request.name);
        check.text("version", &request.version, 256);
        if request.revision > 0 && request.version.is_empty() {
            check.bad("revision", "counts the contents of one version; give that version too");
        }
        check.done()?;
        let revisions = self.0.modules.revisions(&request.name, REVISIONS).await.map_err(ApiError::Store)?;
        let mut module = if request.version.is_empty() {
            let found = self.0.modules.registry().get(&request.name).cloned();
            let entry = found.ok_or_else(|| ApiError::no_module(&self.0.modules, &request.name))?;
            self.view(&entry, Detail::Whole)
        } else {
            let revision = Some(request.revision).filter(|revision| *revision > 0);
            let kept = self.0.modules.revision(&request.name, &request.version, revision).await;
            let other_origin = || {
                let registry = self.0.modules.registry();
                let origins = [Origin::Directory, Origin::BuiltIn];
                let mut entries =
                    origins.iter().filter_map(|origin| registry.get_from(&request.name, *origin));
                entries
                    .find(|entry| entry.descriptor.version == request.version && request.revision <= 1)
                    .cloned()
            };
            match kept.map_err(ApiError::Store)? {
                Some(entry) => self.view(&entry, Detail::Whole),
                None => match other_origin() {
                    Some(entry) => self.view(&entry, Detail::Whole),
                    None => return Err(ApiError::NoModuleVersion(request.name, request.version).into()),
                },
            }
        };
        module.revisions = revisions.iter().map(module_view::revision).collect();
        Ok(Response::new(module))
    }

    async fn list_modules(
        &self,
        request: Request<v1::ListModulesRequest>,
    ) -> Result<Response<v1::ListModulesResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let size = check.page_size(request.page_size);
        check.text("page_token", &request.page_token, 63);
        let origin = match v1::ModuleOrigin::try_from(request.origin) {
            Ok(origin) => module_view::origin_of(origin),
            Err(_) => {
                check.bad("origin", format!("{} is not an origin", request.origin));
                None
            }
        };
        check.done()?;
        let after = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
        let registry = self.0.modules.registry();
        let mut entries = registry.list(after, size + 1, origin);
        let found = entries.len();
        entries.truncate(size);
        let modules = entries.iter().map(|entry| module_view::module(&registry, entry, Detail::InList));
        let modules = module_view::fitting(modules, v1::Module::encoded_len);
        let last = modules.last().filter(|_| modules.len() < found).map(|module| module.name.clone());
        Ok(Response::new(v1::ListModulesResponse { modules, next_page_token: last.unwrap_or_default() }))
    }

    async fn unregister_module(
        &self,
        request: Request<v1::UnregisterModuleRequest>,
    ) -> Result<Response<v1::Module>, Status> {
        let name = &request.get_ref().name;
        let mut check = Check::default();
        check.needed_module("name", name);
        check.done()?;
        let entry = self.0.modules.unregister(name).await.map_err(ApiError::from)?;
        Ok(Response::new(self.view(&entry, Detail::Whole)))
    }

    async fn discover_modules(
        &self,
        request: Request<v1::DiscoverModulesRequest>,
    ) -> Result<Response<v1::DiscoverModulesResponse>, Status> {
        let request = request.into_inner();
        let mut check = Check::default();
        let size = check.page_size(request.page_size);
        check.text("capability", &request.capability, SHORT_BYTES);
        check.text("data_type", &request.data_type, SHORT_BYTES);
        check.text("text", &request.text, SHORT_BYTES);
        if request.tags.len() > 32 || request.tags.iter().any(|tag| tag.len() > 256) {
            check.bad("tags", "must be at most 32, of at most 256 bytes each");
        }
        let offset = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().unwrap_or_else(|_| {
                check.bad("page_token", format!("is not one of this list: {}", shortened(token)));
                0
            }),
        };
        check.done()?;
        let given = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        let query = registry::Query {
            capability: given(request.capability),
            data_type: given(request.data_type),
            tags: request.tags.into_iter().filter_map(given).collect(),
            text: given(request.text),
        };
        let registry = self.0.modules.registry();
        let found = registry.discover(&query, offset, size);
        let modules = found.matches.iter().map(|hit| v1::DiscoveredModule {
            module: Some(module_view::module(&registry, &hit.entry, Detail::InList)),
            score: hit.score,
            matched: hit.matched.clone(),
        });
        let modules = module_view::fitting(modules, v1::DiscoveredModule::encoded_len);
        let next = offset + modules.len();
        Ok(Response::new(v1::DiscoverModulesResponse {
            modules,
            next_page_token: if next < found.total { next.to_string() } else { String::new() },
            total: u32::try_from(found.total).unwrap_or(u32::MAX),
        }))
    }

    async fn preview_context(
        &self,
        request: Request<v1::PreviewContextRequest>,
    ) -> Result<Response<v1::ContextPreview>, Status> {
        let request = request.into_inner();
        let query = self.query(asking!(request, "", None)).await?;
        let prepared = self.0.preparing().prepare(&query).await.map_err(ApiError::from)?;
        let mut truncated_fields = Vec::new();
        let mut take = |field: &str, text: &str| {
            let (text, was_cut) = cut(text, PREVIEW_BYTES);
            if was_cut {
                truncated_fields.push(field.to_owned());
            }
            text
        };
        let system_prompt = take("system_prompt", &prepared.conversation.system_prompt);
        let message = prepared.message.as_ref();
        let text = take("message", message.map_or(query.prompt.as_str(), |message| &message.text));
        // A conversation that is there has its system prompt, and no word on what was left out of it.
        let context = prepared
            .context
            .unwrap_or_else(|| Report::of_text(&prepared.conversation.system_prompt, SectionPlace::System));
        let reports: Vec<&Report> = std::iter::once(&context).chain(message.map(|m| &m.report)).collect();
        let sections = reports.iter().flat_map(|report| &report.sections).map(|section| v1::ContextSection {
            name: section.name.clone(),
            place: match section.place {
                SectionPlace::System => v1::SectionPlace::SystemPrompt,
                SectionPlace::Message => v1::SectionPlace::Message,
            }
            .into(),
            estimated_tokens: section.tokens,
            bytes: section.bytes,
        });
        let omitted = reports.iter().flat_map(|report| &report.omitted).map(|omitted| v1::OmittedContext {
            section: omitted.section.clone(),
            what: omitted.what.clone(),
            why: omitted.why.clone(),
            estimated_tokens: omitted.tokens,
        });
        let version = |module: &Option<claude_comms_model::ModuleRef>| {
            module.as_ref().map(convert::module_version).unwrap_or_default()
        };
        Ok(Response::new(v1::ContextPreview {
            sections: sections.collect(),
            omitted: omitted.collect(),
            estimated_tokens: reports.iter().map(|report| report.tokens).sum(),
            token_budget: reports.iter().map(|report| report.token_budget).max().unwrap_or(0),
            template: message.map(|message| message.template.clone()).unwrap_or_default(),
            source_version: version(&prepared.conversation.source_module),
            target_version: version(&prepared.conversation.target_module),
            system_prompt,
            message: text,
            truncated_fields,
        }))
    }

    async fn query_module(
        &self,
        request: Request<v1::QueryModuleRequest>,
    ) -> Result<Response<Self::QueryModuleStream>, Status> {
        let request = request.into_inner();
        let query = self.query(asking!(request, &request.request_id, request.timeout.as_ref())).await?;
        let submitted = self.0.submit(query).await?;
        self.0.stream(submitted).await
    }

    async fn submit_module_query(
        &self,
        request: Request<v1::SubmitModuleQueryRequest>,
    ) -> Result<Response<v1::Turn>, Status> {
        let request = request.into_inner();
        let query = self.query(asking!(request, &request.request_id, request.timeout.as_ref())).await?;
        let turn = match self.0.submit(query).await? {
            Submitted::Live(live) => self.0.turn(live.id).await?,
            Submitted::Ended(turn) => *turn,
        };
        Ok(Response::new(convert::turn(&turn, Shown::Alone)))
    }
}
