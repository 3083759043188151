//! What a test's server finds in its environment.

use super::Builder;

/// Set to 0 for every server of a test that does not ask for spares, so that processes and instances are those that the
/// test made. Variables come before the file.
pub(super) const WARM_SPARES: &str = "CLAUDE_COMMS_POOL__WARM_SPARES";

impl Builder {
    /// Keeps so many warm spares; without this none.
    #[must_use]
    pub fn warm_spares(self, count: usize) -> Self {
        self.environment(WARM_SPARES, count.to_string())
    }

    /// As [`Self::warm_spares`], where the configuration file says how many, so that a reload may change it.
    #[must_use]
    pub fn warm_spares_of_file(mut self) -> Self {
        self.environment.remove(WARM_SPARES);
        self
    }

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
