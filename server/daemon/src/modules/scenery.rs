//! Sceneries: the scene of a pair of modules with everything compiled, made once and shared until something changes.

use std::{collections::HashMap, sync::Arc};

use claude_comms_context::{
    ComposeError, Composer, Overrides, Party, RelationshipLine, Scene, SceneError, built_in_templates,
    templates::{Layer, TemplateRecord},
};
use claude_comms_descriptors::{
    Descriptor, TemplateText,
    registry::{Entry, Registry},
};
use claude_comms_model::ModuleRef;
use claude_comms_store::StoreError;

use super::{Modules, reference, register::did_you_mean};

/// How many compiled scenes are kept, of pairs and of conversations each.
const KEPT: usize = 128;
/// How many bytes their scenes may have together: compiled, each takes some fifteen times as much.
const KEPT_BYTES: usize = 8 << 20;

/// A pair of modules, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Scenery {
    /// What makes the prompts.
    pub composer: Arc<Composer>,
    /// The scene as the store keeps it.
    pub scene: Arc<claude_comms_store::Scene>,
    /// The version that asks.
    pub source: Option<ModuleRef>,
    /// The version that is asked.
    pub target: Option<ModuleRef>,
}

/// A scenery that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SceneryError {
    /// There is no such module.
    #[error("there is no module {name}{hint}")]
    UnknownModule {
        /// The name that was asked for.
        name: String,
        /// Near matches, in words.
        hint: String,
    },
    /// A module's context extends one that is not there, or itself.
    #[error("the context of module {name} cannot be made: {problem}")]
    Extends {
        /// The module.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The overrides or the templates cannot be used.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The conversation's scene cannot be read.
    #[error("the conversation's scene cannot be read")]
    Scene(#[from] SceneError),
    /// The conversation was upgraded or deleted in the same moment.
    #[error("the conversation was changed in the same moment")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compiled scenes. What is in it is as fresh as the registry: every change empties the pairs.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pairs: HashMap<(String, String), Scenery>,
    /// With the bytes of its scene.
    by_digest: HashMap<String, (Arc<Composer>, usize)>,
    /// Counts the changes, so that what was begun before one is not put in after it.
    changes: u64,
}

impl Cache {
    /// Something changed.
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.changes += 1;
    }
}

impl Modules {
    /// The scene of a pair as its modules are now.
    ///
    /// # Errors
    /// [`SceneryError`].
    pub(crate) async fn scenery(
        &self,
        source: &str,
        target: &str,
        overrides: Overrides,
    ) -> Result<Scenery, SceneryError> {
        if overrides == Overrides::default() {
            let key = (source.to_owned(), target.to_owned());
            if let Some(known) = self.sceneries().pairs.get(&key) {
                return Ok(known.clone());
            }
        }
        let (modules, source, target) = (self.clone(), source.to_owned(), target.to_owned());
        // Its templates are compiled: some milliseconds, more for large modules.
        let making = tokio::task::spawn_blocking(move || modules.make_scenery(&source, &target, overrides));
        making.await.map_err(|_| StoreError::Unavailable("the server is shutting down".to_owned()))?
    }

    fn make_scenery(
        &self,
        source: &str,
        target: &str,
        overrides: Overrides,
    ) -> Result<Scenery, SceneryError> {
        // Overrides come from callers, who may send another one each time: those are not worth keeping.
        let kept = overrides == Overrides::default();
        let key = (source.to_owned(), target.to_owned());
        let begun = self.sceneries().changes;
        let (scene, source, target) = self.scene(source, target, overrides)?;
        let json = scene.to_json();
        let scenery = Scenery {
            composer: Arc::new(Composer::new(scene)?),
            scene: Arc::new(claude_comms_store::Scene { digest: Scene::digest(&json), json }),
            source,
            target,
        };
        let mut cache = self.sceneries();
        if kept && cache.changes == begun {
            evict(&mut cache.pairs, |scenery| scenery.scene.json.len());
            cache.pairs.insert(key, scenery.clone());
        }
        Ok(scenery)
    }

    /// What makes the prompts of a conversation that remembers its scene.
    ///
    /// # Errors
    /// [`SceneryError`].
    pub(crate) async fn composer(&self, digest: &str) -> Result<Arc<Composer>, SceneryError> {
        if let Some(known) = self.sceneries().by_digest.get(digest) {
            return Ok(Arc::clone(&known.0));
        }
        let json = self.0.store.scene(digest.to_owned()).await?.ok_or(SceneryError::Changed)?;
        let bytes = json.len();
        let compiling = tokio::task::spawn_blocking(move || Ok(Composer::new(Scene::from_json(&json)?)?));
        let compiled: Result<Composer, SceneryError> =
            compiling.await.map_err(|_| StoreError::Unavailable("the server is shutting down".to_owned()))?;
        let composer = Arc::new(compiled?);
        let mut cache = self.sceneries();
        evict(&mut cache.by_digest, |(_, bytes)| *bytes);
        cache.by_digest.insert(digest.to_owned(), (Arc::clone(&composer), bytes));
        Ok(composer)
    }

    fn scene(
        &self,
        source: &str,
        target: &str,
        overrides: Overrides,
    ) -> Result<(Scene, Option<ModuleRef>, Option<ModuleRef>), SceneryError> {
        let directory = self.directory_templates();
        let registry = self.registry();
        let find = |name: &str| match name {
            "" => Ok(None),
            name => known(&registry, name).map(|entry| Some(Arc::clone(entry))),
        };
        let (source, target) = (find(source)?, find(target)?);
        let relationships = match (&source, &target) {
            (Some(source), Some(target)) => registry
                .between(&source.descriptor.name, &target.descriptor.name)
                .into_iter()
                .map(|resolved| RelationshipLine {
                    kind: resolved.kind.as_str().to_owned(),
                    source_says: resolved.descriptions.this,
                    target_says: resolved.descriptions.other,
                })
                .collect(),
            _ => Vec::new(),
        };
        let party = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|e| party(&registry, e)).transpose();
        let (asking, asked) = (party(&source)?, party(&target)?);
        let mut templates = shared_templates(&directory);
        if let Some(asked) = &asked {
            templates.extend(templates_of(&asked.descriptor));
        }
        let scene = Scene {
            source: asking,
            target: asked,
            relationships,
            templates,
            overrides,
            token_budget: self.0.settings.now().token_budget,
        };
        let refer = |entry: Option<Arc<Entry>>| entry.map(|entry| reference(&entry));
        Ok((scene, refer(source), refer(target)))
    }
}

/// The module that counts for a name.
pub(super) fn known<'a>(registry: &'a Registry, name: &str) -> Result<&'a Arc<Entry>, SceneryError> {
    registry.get(name).ok_or_else(|| SceneryError::UnknownModule {
        name: name.to_owned(),
        hint: did_you_mean(registry, name),
    })
}

fn party(registry: &Registry, entry: &Entry) -> Result<Party, SceneryError> {
    let resolved = registry.resolve_context_of(&entry.descriptor);
    let (context, _) = resolved.map_err(|error| SceneryError::Extends {
        name: entry.descriptor.name.clone(),
        problem: error.to_string(),
    })?;
    Ok(Party {
        descriptor: Descriptor { context, ..entry.descriptor.as_ref().clone() },
        revision: entry.revision,
        origin: entry.origin.as_str().to_owned(),
        digest: entry.digest.clone(),
    })
}

/// The templates that every pair has.
pub(super) fn shared_templates(directory: &[TemplateRecord]) -> Vec<TemplateRecord> {
    let mut records = built_in_templates();
    records.extend_from_slice(directory);
    records
}

/// A module's own templates.
pub(super) fn templates_of(descriptor: &Descriptor) -> Vec<TemplateRecord> {
    let inline = |(name, text): (&String, &TemplateText)| match text {
        TemplateText::Inline { inline } => {
            Some(TemplateRecord { layer: Layer::Module, name: name.clone(), text: inline.clone() })
        }
        // Whatever was registered or loaded has them inline.
        TemplateText::File(_) => None,
    };
    descriptor.context.templates.iter().filter_map(inline).collect()
}

/// Makes room for one more. Which one goes matters little: each is made again in milliseconds.
fn evict<K: std::hash::Hash + Eq + Clone, V>(kept: &mut HashMap<K, V>, bytes: impl Fn(&V) -> usize) {
    while kept.len() >= KEPT || kept.values().map(&bytes).sum::<usize>() > KEPT_BYTES {
        let Some(one) = kept.keys().next().cloned() else { return };
        kept.remove(&one);
    }
}
