//! The command line, and what must hold before a single token is paid for. It reads the environment and no file.

use std::{collections::BTreeMap, env, path::PathBuf};

use claude_comms_tests::tools;

const USAGE: &str = "\
tests/run --live [OPTION...]: asks the real Claude the questions of tests/live/questions.yaml, each with the context of two
modules and without, grades the answers and prints a table. It costs money: yours. Nothing of it runs without --live.

  --model NAME        model or alias (default haiku)
  --only ID           this question alone; may be repeated
  --max-cost DOLLARS  asks no more once so much was spent (default 1.00)
  --questions FILE    other questions
  --modules DIR       the modules that these questions name, beside the built-in ones

Set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN for this command; no other login is looked for. It refuses to run in CI.";

/// What may be passed on to the server of the environment, beside what it needs to run.
const PASSED: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_MAX_RETRIES",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
];
const KEYS: [&str; 2] = ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) model: String,
    /// IDs of questions; empty for all.
    pub(crate) only: Vec<String>,
    /// US dollars after which no further question is asked.
    pub(crate) max_cost: f64,
    pub(crate) questions: PathBuf,
    pub(crate) modules: PathBuf,
    /// Variables for the server.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Options {
    /// Reads arguments and environment; what is wrong, in words.
    pub(crate) fn read() -> Result<Self, String> {
        let ours = tools::repository().join("tests/live");
        let mut options = Self {
            model: "haiku".to_owned(),
            only: Vec::new(),
            max_cost: 1.0,
            questions: ours.join("questions.yaml"),
            modules: ours.join("modules"),
            environment: PASSED.iter().filter_map(|name| Some(((*name).to_owned(), set(name)?))).collect(),
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--model" => options.model = value()?,
                "--only" => options.only.push(value()?),
                "--max-cost" => {
                    let cost = value()?.parse().ok().filter(|cost: &f64| cost.is_finite() && *cost > 0.0);
                    options.max_cost = cost.ok_or("--max-cost must be a number of dollars above 0")?;
                }
                "--questions" => options.questions = value()?.into(),
                "--modules" => options.modules = value()?.into(),
                "-h" | "--help" => {
                    println!("{USAGE}");
                    std::process::exit(0);
                }
                _ => return Err(format!("unknown argument: {argument}\n\n{USAGE}")),
            }
        }
        if set("CI").is_some() {
            return Err("CI is set: the live test costs money and never runs there".to_owned());
        }
        if KEYS.iter().all(|name| set(name).is_none()) {
            return Err(
                "neither ANTHROPIC_API_KEY nor CLAUDE_CODE_OAUTH_TOKEN is set: set one of them for this \
                        command, and who pays for the answers is settled"
                    .to_owned(),
            );
        }
        Ok(options)
    }

    /// Which of the keys pays; never the key itself.
    pub(crate) fn payer(&self) -> &'static str {
        KEYS.into_iter().find(|name| self.environment.contains_key(*name)).expect("one was asked for")
    }
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
