//! `DiagnosticsService.Diagnose`: the checks' results as they come.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use claude_comms_proto::v1;
use futures_core::Stream;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Request, Response, Status};

use super::{Context, convert::cut, validate::Check};
use crate::diagnosis::{CheckResult, Diagnosis, Verdict, Wish};

/// Longest text of a result, bytes: what a process said on its standard error may be in it.
const TEXT_BYTES: usize = 16 << 10;

/// A diagnosis under way. Dropping it ends it, with the process that it tries.
#[derive(Debug)]
pub(crate) struct Results {
    heard: mpsc::Receiver<CheckResult>,
    _checks: JoinSet<()>,
}

impl Results {
    fn of(diagnosis: &Diagnosis, wish: Wish) -> Self {
        // Each result is taken before the next check begins.
        let (results, heard) = mpsc::channel(1);
        let mut checks = JoinSet::new();
        let diagnosis = diagnosis.clone();
        checks.spawn(async move { diagnosis.run(wish, results).await });
        Self { heard, _checks: checks }
    }
}

impl Stream for Results {
    type Item = Result<v1::DiagnosticResult, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.heard.poll_recv(context).map(|result| result.map(|result| Ok(diagnostic_result(result))))
    }
}

/// A result as the wire has it; also for checks that were run without a server.
pub fn diagnostic_result(result: CheckResult) -> v1::DiagnosticResult {
    let status = match result.verdict {
        Verdict::Ok => v1::DiagnosticStatus::Ok,
        Verdict::Warning => v1::DiagnosticStatus::Warning,
        Verdict::Problem => v1::DiagnosticStatus::Problem,
        Verdict::Skipped => v1::DiagnosticStatus::Skipped,
    };
    v1::DiagnosticResult {
        check: result.check.to_owned(),
        status: status.into(),
        message: cut(&result.message, TEXT_BYTES).0,
        remedy: cut(&result.remedy, TEXT_BYTES).0,
        duration: result.duration.try_into().ok(),
        details: result.details.into_iter().collect(),
    }
}

impl Context {
    pub(super) fn diagnose(
        &self,
        request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<Results>, Status> {
        let v1::DiagnoseRequest { turn, model } = request.into_inner();
        let mut check = Check::default();
        check.model(&model);
        if !turn && !model.is_empty() {
            check.bad("model", "is the turn's; set turn too");
        }
        check.done()?;
        let wish = Wish { turn, model: Some(model).filter(|model| !model.is_empty()) };
        Ok(Response::new(Results::of(&self.diagnosis, wish)))
    }
}
