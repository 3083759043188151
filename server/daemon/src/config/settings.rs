//! The settings in effect: whoever uses one asks here each time, or is told of changes. It must not know who asks.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Config,
    keys::{KEYS, Reload},
};

/// The settings in effect; cheap to clone.
#[derive(Debug, Clone)]
pub struct Settings(Arc<watch::Sender<Arc<Config>>>);

/// What new settings changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys whose new values are in effect.
    pub taken: Vec<&'static str>,
    /// Keys whose new values wait for a restart.
    pub restart: Vec<&'static str>,
}

impl Settings {
    /// Settings as they were at the start.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// As they are now.
    pub fn now(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// Tells of changes from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }

    /// Puts what a running server can take into effect; all else stays as it is.
    pub fn take(&self, new: &Config) -> Changes {
        let now = self.now();
        let mut next = Config::clone(&now);
        let mut changes = Changes::default();
        for key in KEYS {
            let mut with = Config::clone(&now);
            key.kind.copy(new, &mut with);
            if with == *now {
                continue;
            }
            match key.reload {
                Reload::Signal => {
                    key.kind.copy(new, &mut next);
                    changes.taken.push(key.path);
                }
                Reload::Restart => changes.restart.push(key.path),
            }
        }
        // Made of the server's own environment, which does not change, and of the key.
        if next.claude.environment != now.claude.environment {
            next.instance_environment.clone_from(&new.instance_environment);
        }
        next.pool.derived.clone_from(&new.pool.derived);
        if !changes.taken.is_empty() {
            self.0.send_replace(Arc::new(next));
        }
        changes
    }
}
