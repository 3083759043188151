//! What a test's server finds in its environment.

use super::Builder;

impl Builder {
    /// A variable of the server's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Takes a variable back that the backend brought.
    #[must_use]
    pub fn without_environment(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }
}
