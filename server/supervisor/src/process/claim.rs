//! The claim of a parked process: it is told who it is and becomes a process as any other.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Process, Request};
use crate::{ExitCause, ExitInfo, StartError, Stop};

impl Process {
    /// Tells a process that was [parked](crate::Supervisor::park) its system prompt; returns once it takes messages.
    /// The parked process may still be coming up: the answer comes after that.
    ///
    /// # Errors
    /// [`StartError::Exited`], [`StartError::Protocol`], [`StartError::Timeout`] after `limit`. Nothing of it is left
    /// running then. `Exited` too for a process that was claimed before, which is ended.
    ///
    /// # Cancel safety
    /// Not cancel safe: the process may be claimed by then, and is of no use to anybody else.
    pub async fn claim(&self, system_prompt: Option<&str>, limit: Duration) -> Result<(), StartError> {
        let (ready, answered) = oneshot::channel();
        let system_prompt = system_prompt.unwrap_or_default().to_owned();
        let claimed = async {
            let request = Request::Claim { system_prompt, ready };
            self.inner.requests.send(request).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(limit, claimed).await {
            Ok(Some(answer)) => {
                let _said_before = self.inner.cli_version.set(answer.cli_version);
                Ok(())
            }
            Ok(None) => Err(ended(self.stop(Stop::Now).await)),
            Err(_elapsed) => {
                let stderr = self.stop(Stop::Now).await.stderr;
                Err(StartError::Timeout { after: limit, stderr })
            }
        }
    }
}

fn ended(exit: ExitInfo) -> StartError {
    let ExitInfo { code, cause, stderr } = exit;
    match cause {
        ExitCause::Protocol(message) => StartError::Protocol { message, stderr },
        _ => StartError::Exited { code, stderr },
    }
}
