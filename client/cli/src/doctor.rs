//! `doctor`: the server's checks, and without a server the same ones here. Knows the server's diagnosis and configuration.

use std::collections::BTreeMap;

use claude_comms_client::{Error, v1};
use claude_comms_server::{
    config,
    diagnosis::{Diagnosis, Wish},
    grpc::diagnostic_result,
};
use tokio::sync::mpsc;

use crate::{
    args::{Doctor, Format, Global},
    context::{Context, Patience},
    exit::{Exit, Failure, chain},
    output::{Tone, Ui, printable, state, tone},
    serve,
};

/// Runs the checks and prints each result when it is there. Exit code 1 when one found a problem.
pub(crate) fn run(global: &Global, doctor: Doctor, ui: &Ui) -> Result<Exit, Failure> {
    if doctor.turn {
        ui.note(
            "--turn asks the model for one word: some tokens of the account that the server uses, far below one US cent as a rule",
        );
    }
    serve::runtime()?.block_on(async {
        let mut context = Context::new(global, ui)?;
        let request =
            v1::DiagnoseRequest { turn: doctor.turn, model: doctor.model.clone().unwrap_or_default() };
        let client = context.client.clone();
        let mut results = match context.patience.wait(async { Ok(client.diagnose(request).await) }).await? {
            Ok(results) => results,
            Err(Error::NoServer { .. }) => {
                ui.note(&format!(
                    "no server answers at {}: checked here, with the settings that one would have",
                    client.endpoint()
                ));
                // Boxed: it is large, and rare.
                return Box::pin(here(doctor, ui, &mut context.patience)).await;
            }
            Err(error) => return Err(error.into()),
        };
        let mut shown = Shown::new(ui);
        loop {
            match context.patience.wait(results.next()).await? {
                Some(result) => shown.print(&result)?,
                None => return Ok(shown.end()),
            }
        }
    })
}

/// The checks without a server.
async fn here(doctor: Doctor, ui: &Ui, patience: &mut Patience) -> Result<Exit, Failure> {
    let overrides = config::Overrides { config_file: doctor.config, ..config::Overrides::default() };
    let mut shown = Shown::new(ui);
    let config = match config::load(&overrides, std::env::vars_os()) {
        Ok(loaded) => {
            shown.print(&of_configuration(Ok(())))?;
            loaded.config
        }
        Err(error) => {
            shown.print(&of_configuration(Err(chain(&error))))?;
            return Ok(shown.end());
        }
    };
    let (results, mut heard) = mpsc::channel(1);
    let diagnosis = Diagnosis::local(config);
    let wish = Wish { turn: doctor.turn, model: doctor.model };
    let checks = async {
        diagnosis.run(wish, results).await;
        Ok::<_, Failure>(())
    };
    let print = async {
        while let Some(result) = heard.recv().await {
            shown.print(&diagnostic_result(result))?;
        }
        Ok(())
    };
    // The checks hold much at once, a process's start among it.
    let both = Box::pin(async { tokio::try_join!(checks, print).map(|_| ()) });
    let ended = patience.wait_here(both).await;
    diagnosis.end().await;
    ended?;
    Ok(shown.end())
}

fn of_configuration(loaded: Result<(), String>) -> v1::DiagnosticResult {
    let (status, message, remedy) = match loaded {
        Ok(()) => (v1::DiagnosticStatus::Ok, "can be used".to_owned(), ""),
        Err(why) => (
            v1::DiagnosticStatus::Problem,
            why,
            "mend the configuration; nothing else can be checked before (docs/configuration.md)",
        ),
    };
    v1::DiagnosticResult {
        check: "configuration".to_owned(),
        status: status.into(),
        message,
        remedy: remedy.to_owned(),
        duration: None,
        details: BTreeMap::new().into_iter().collect(),
    }
}

/// What was printed so far.
struct Shown<'u> {
    ui: &'u Ui,
    problems: usize,
    warnings: usize,
}

impl<'u> Shown<'u> {
    fn new(ui: &'u Ui) -> Self {
        Self { ui, problems: 0, warnings: 0 }
    }

    fn print(&mut self, result: &v1::DiagnosticResult) -> Result<(), Failure> {
        self.problems += usize::from(result.status() == v1::DiagnosticStatus::Problem);
        self.warnings += usize::from(result.status() == v1::DiagnosticStatus::Warning);
        match self.ui.format {
            Format::Table => self.ui.write(&lines(result, |tone, text| self.ui.out().paint(tone, text))),
            Format::Json | Format::Yaml => self.ui.event(result),
        }
    }

    fn end(&self) -> Exit {
        match (self.problems, self.warnings) {
            (0, 0) => self.ui.note("all is well"),
            (problems, warnings) => self.ui.note(&format!("problems: {problems}, warnings: {warnings}")),
        }
        if self.problems > 0 { Exit::Failed } else { Exit::Done }
    }
}

/// A row for people: check, status, what; the remedy below, in the third column too.
fn lines(result: &v1::DiagnosticResult, paint: impl Fn(Tone, &str) -> String) -> String {
    let status = state(result.status().as_str_name());
    let message = printable(&result.message.replace('\n', " "));
    let row = format!("{:<14} {} {message}\n", result.check, paint(tone(status), &format!("{status:<8}")));
    if result.remedy.is_empty() {
        return row;
    }
    let remedy = printable(&result.remedy.replace('\n', " "));
    format!("{row}{:<14} {:<8} {} {remedy}\n", "", "", paint(Tone::Strong, "remedy:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_row_with_its_remedy_below_and_no_control_characters() {
        let mut result = of_configuration(Err("bad\n\x1b[31mkey".to_owned()));
        let text = lines(&result, |_, text| text.to_owned());
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[0].starts_with("configuration  PROBLEM  bad"), "{text}");
        assert!(rows[1].starts_with("                        remedy: mend"), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
        result = of_configuration(Ok(()));
        assert_eq!(lines(&result, |_, text| text.to_owned()), "configuration  OK       can be used\n");
    }
}
