//! Registering: the store decides, the registry follows.

use std::sync::Arc;

use claude_comms_context::templates::Templates;
use claude_comms_descriptors::{
    TemplateFiles,
    registry::{Entry, Origin, Registry},
};
use claude_comms_model::ModuleRecord;
use claude_comms_store::{RegisterModule, RegisterOutcome, StoreError};

use super::{Modules, entry_of, scenery};

/// A module to register.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registering {
    /// Its name; empty takes the descriptor's.
    pub name: String,
    /// The descriptor, YAML or JSON.
    pub descriptor: String,
    /// Its path; `None` leaves that of the registered one.
    pub path: Option<String>,
    /// Whether a lower version may take the place.
    pub force: bool,
    /// Only if it is registered.
    pub must_exist: bool,
    /// The digest that the registered revision must have.
    pub expected_digest: Option<String>,
}

/// A module that was not registered; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Bad fields, all of them.
    #[error("the request has bad fields")]
    Fields(Vec<(String, String)>),
    /// The registered one has a higher version.
    #[error(
        "module {} is registered as version {}, which is higher than {given}; raise the version, or force it",
        current.name, current.version
    )]
    Lower {
        /// The registered one.
        current: Box<ModuleRecord>,
        /// The version that was given.
        given: String,
    },
    /// The registered one is not the one that was expected.
    #[error(
        "module {} was changed in the meantime: its digest is {}; get it again, and update that",
        .0.name, .0.digest
    )]
    Changed(Box<ModuleRecord>),
    /// No such module is registered.
    #[error("module {0} is not registered{1}")]
    NotRegistered(String, String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Modules {
    /// Registers a module, durably. Once it has begun it goes on, whether its caller waits or not.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub(crate) async fn register(&self, new: Registering) -> Result<Arc<Entry>, RegisterError> {
        let modules = self.clone();
        self.to_its_end(async move {
            let checking = modules.clone();
            // A descriptor takes long enough to read that it must not hold up the calls of others.
            let checked = tokio::task::spawn_blocking(move || checking.checked(new));
            modules.store(checked.await.map_err(|_| gone())??).await
        })
        .await
    }

    /// Takes a module out; what was registered.
    ///
    /// # Errors
    /// [`RegisterError::NotRegistered`], [`RegisterError::Store`].
    pub(crate) async fn unregister(&self, name: &str) -> Result<Arc<Entry>, RegisterError> {
        let (modules, name) = (self.clone(), name.to_owned());
        self.to_its_end(async move { modules.take_out(&name).await }).await
    }

    /// Carries on when the caller is gone.
    async fn to_its_end<F>(&self, work: F) -> Result<Arc<Entry>, RegisterError>
    where
        F: Future<Output = Result<Arc<Entry>, RegisterError>> + Send + 'static,
    {
        self.0.tracker.spawn(work).await.map_err(|_| gone())?
    }

    async fn store(&self, checked: Checked) -> Result<Arc<Entry>, RegisterError> {
        let Checked { mut register, keeps_path, warnings } = checked;
        let _order = self.0.registering.lock().await;
        if keeps_path && let Some(before) = self.registry().get_from(&register.name, Origin::Registered) {
            register.path.clone_from(&before.path);
        }
        let (name, version) = (register.name.clone(), register.version.clone());
        let record = match self.0.store.register_module(register).await? {
            RegisterOutcome::Stored(record) | RegisterOutcome::Unchanged(record) => record,
            RegisterOutcome::Lower(current) => {
                return Err(RegisterError::Lower { current, given: version });
            }
            RegisterOutcome::Changed(current) => return Err(RegisterError::Changed(current)),
            RegisterOutcome::Absent => return Err(self.not_registered(&name)),
        };
        self.registry_mut().put(Entry { warnings, ..entry_of(&record)? });
        self.sceneries().clear();
        tracing::info!(module = name, version, revision = record.revision, "module registered");
        let registered = self.registry().get_from(&name, Origin::Registered).cloned();
        Ok(registered.expect("it was put there, under the lock that whoever removes it needs"))
    }

    async fn take_out(&self, name: &str) -> Result<Arc<Entry>, RegisterError> {
        let _order = self.0.registering.lock().await;
        let record = self.0.store.unregister_module(name.to_owned()).await?;
        let removed = self.registry_mut().remove(name, Origin::Registered);
        self.sceneries().clear();
        let Some(record) = record else { return Err(self.not_registered(name)) };
        tracing::info!(module = name, "module unregistered");
        match removed {
            Some(entry) => Ok(entry),
            None => Ok(Arc::new(entry_of(&record)?)),
        }
    }

    fn not_registered(&self, name: &str) -> RegisterError {
        let registry = self.registry();
        let hint = match registry.get(name) {
            Some(entry) if entry.origin == Origin::BuiltIn => {
                "; it is built in, and can only be covered by registering one of that name".to_owned()
            }
            Some(entry) if entry.origin == Origin::Directory => {
                format!("; it comes from {}: change that file", entry.path)
            }
            Some(_) => String::new(),
            None => did_you_mean(&registry, name),
        };
        RegisterError::NotRegistered(name.to_owned(), hint)
    }

    /// Reads the descriptor; every problem is listed.
    fn checked(&self, new: Registering) -> Result<Checked, RegisterError> {
        let parsed = claude_comms_descriptors::parse(&new.descriptor, TemplateFiles::Refused);
        let parsed = parsed.map_err(|problems| {
            let field = |line: Option<u32>, path: &str| match (line, path) {
                (Some(line), "") => format!("descriptor:{line}"),
                (Some(line), path) => format!("descriptor:{line}: {path}"),
                (None, "") => "descriptor".to_owned(),
                (None, path) => format!("descriptor: {path}"),
            };
            RegisterError::Fields(problems.into_iter().map(|p| (field(p.line, &p.path), p.message)).collect())
        })?;
        let descriptor = parsed.descriptor;
        if !new.name.is_empty() && new.name != descriptor.name {
            let problem = format!("is {:?}, but the descriptor's name is {:?}", new.name, descriptor.name);
            return Err(RegisterError::Fields(vec![("name".to_owned(), problem)]));
        }
        let mut records = scenery::shared_templates(&self.directory_templates());
        records.extend(scenery::templates_of(&descriptor));
        if let Err(problems) = Templates::new(records) {
            let fields = problems.into_iter().map(|problem| {
                let at = problem.line.map_or_else(String::new, |line| format!("line {line}: "));
                let field = format!("descriptor: context.templates.{}", problem.name);
                (field, format!("{at}{}", problem.message))
            });
            return Err(RegisterError::Fields(fields.collect()));
        }
        let register = RegisterModule {
            name: descriptor.name.clone(),
            version: descriptor.version.clone(),
            digest: claude_comms_descriptors::digest(&descriptor),
            descriptor: claude_comms_descriptors::canonical_json(&descriptor),
            path: new.path.clone().unwrap_or_default(),
            force: new.force,
            must_exist: new.must_exist,
            expected_digest: new.expected_digest,
        };
        let warnings = parsed.warnings.iter().map(ToString::to_string).collect();
        Ok(Checked { register, keeps_path: new.path.is_none(), warnings })
    }
}

/// A module that may be registered.
struct Checked {
    register: RegisterModule,
    /// Whether the path of the registered one stays.
    keeps_path: bool,
    warnings: Vec<String>,
}

fn gone() -> RegisterError {
    RegisterError::Store(StoreError::Unavailable("the server is shutting down".to_owned()))
}

/// The modules of names near a name, in words; empty without any.
pub(crate) fn did_you_mean(registry: &Registry, name: &str) -> String {
    let near = registry.near(name, 3);
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}
