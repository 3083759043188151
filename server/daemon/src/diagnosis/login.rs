//! The login: what the CLI is given to prove who pays. Only names of variables are told, never a part of a value.

use std::{collections::BTreeMap, path::Path};

use super::{run::Subject, verdict::Found};

const KEY: &str = "ANTHROPIC_API_KEY";
const AUTH: &str = "ANTHROPIC_AUTH_TOKEN";
const OAUTH: &str = "CLAUDE_CODE_OAUTH_TOKEN";

pub(super) fn check(subject: &Subject) -> Found {
    if subject.is_simulated() {
        return Found::skipped("the simulated backend needs no login");
    }
    let config_dir = subject.config.claude.config_dir.as_deref();
    Found::worst(
        [judge(&subject.config.instance_environment.0, config_dir)]
            .into_iter()
            .chain(config_dir.map(of_directory)),
    )
    .expect("there is one at least")
}

/// An operator's own directory: that it is shared is told whoever pays.
fn of_directory(path: &Path) -> Found {
    let shown = path.display();
    if !path.is_dir() {
        return Found::problem(
            format!("claude.config_dir {shown} is not a directory that can be used"),
            "name the directory in which you have logged in, or take claude.config_dir out",
        );
    }
    Found::warning(
        format!(
            "all processes share claude.config_dir {shown} with each other and with whoever else uses it: its .claude.json may be damaged, and a refreshed login may log the others out"
        ),
        format!(
            "set {OAUTH} to a token of `claude setup-token` instead, or use the directory for nothing else"
        ),
    )
}

fn judge(environment: &BTreeMap<String, String>, config_dir: Option<&Path>) -> Found {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let set: Vec<&str> = [KEY, AUTH, OAUTH].into_iter().filter(|name| value(name).is_some()).collect();
    let Some(used) = set.first() else {
        if let Some(path) = config_dir {
            // Where 2.1.330 keeps a login; it is not looked into.
            let shown = path.display();
            return if path.join(".credentials.json").is_file() {
                Found::ok(format!("the login in claude.config_dir {shown}"))
            } else {
                Found::problem(
                    format!(
                        "nobody has logged in in claude.config_dir {shown}: turns will fail with NOT_LOGGED_IN"
                    ),
                    format!("run `CLAUDE_CONFIG_DIR={shown} claude` and log in, or set {KEY} or {OAUTH}"),
                )
            };
        }
        return Found::problem(
            format!("none of {KEY}, {AUTH} and {OAUTH} is set: turns will fail with NOT_LOGGED_IN"),
            format!(
                "set {KEY} in the server's environment or in claude.environment, or make a token with `claude setup-token` and set {OAUTH}; then restart the server"
            ),
        );
    };
    let kind = match *used {
        KEY => "an API key",
        AUTH => "an auth token",
        _ => "an OAuth token, as `claude setup-token` makes it",
    };
    let mut all = vec![Found::ok(format!("{kind}, from {used}")).with("variable", used)];
    for name in &set {
        let text = value(name).map(String::as_str).unwrap_or_default();
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            all.push(Found::problem(
                format!("the value of {name} has white space in it: the API will refuse it"),
                format!("set {name} to the key or token alone, without quotes, spaces and line ends"),
            ));
        }
    }
    let starts = |name: &str, start: &str| value(name).is_some_and(|text| text.starts_with(start));
    if starts(KEY, "sk-ant-oat") {
        all.push(Found::problem(
            format!("{KEY} holds what looks like an OAuth token"),
            format!("set it as {OAUTH} instead, and {KEY} not at all"),
        ));
    }
    if starts(OAUTH, "sk-ant-api") {
        all.push(Found::problem(
            format!("{OAUTH} holds what looks like an API key"),
            format!("set it as {KEY} instead, and {OAUTH} not at all"),
        ));
    }
    if set.len() > 1 {
        all.push(Found::warning(
            format!("{} are set; {used} is the one that counts", set.join(" and ")),
            "set only the one that is meant, so that nobody pays by accident",
        ));
    }
    if value("ANTHROPIC_BASE_URL").is_some() {
        // The address may hold a secret of its own.
        all.push(Found::ok("").with("base_url", "ANTHROPIC_BASE_URL is set"));
    }
    Found::worst(all).expect("there is one at least")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Verdict;

    #[track_caller]
    fn expect(pairs: &[(&str, &str)], verdict: Verdict, words: &str, remedy: &str) {
        let environment =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = judge(&environment, None);
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.message.contains(words) && found.remedy.contains(remedy), "{found:?}");
        for (_, secret) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            assert!(!format!("{found:?}").contains(secret.trim()), "a secret is told: {found:?}");
        }
    }

    #[test]
    fn an_operator_s_own_directory_is_a_login_and_always_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let none = BTreeMap::new();
        let empty = judge(&none, Some(dir.path()));
        assert!(empty.verdict == Verdict::Problem && empty.remedy.contains("log in"), "{empty:?}");
        std::fs::write(dir.path().join(".credentials.json"), "canary").unwrap();
        let found = judge(&none, Some(dir.path()));
        assert!(found.verdict == Verdict::Ok && !format!("{found:?}").contains("canary"), "{found:?}");
        let shared = of_directory(dir.path());
        assert!(
            shared.verdict == Verdict::Warning && shared.remedy.contains("claude setup-token"),
            "{shared:?}"
        );
        assert_eq!(of_directory(&dir.path().join("missing")).verdict, Verdict::Problem);
    }

    #[test]
    fn each_login_is_named_by_its_variable_and_each_mistake_has_its_remedy() {
        use Verdict::{Ok, Problem, Warning};
        expect(&[], Problem, "NOT_LOGGED_IN", "claude setup-token");
        expect(&[(KEY, "")], Problem, "NOT_LOGGED_IN", KEY);
        expect(&[(KEY, "sk-ant-api-canary")], Ok, "an API key, from ANTHROPIC_API_KEY", "");
        expect(&[(AUTH, "canary")], Ok, "an auth token", "");
        expect(&[(OAUTH, "sk-ant-oat01-canary")], Ok, "an OAuth token", "");
        expect(
            &[(KEY, "canary-1"), (OAUTH, "canary-2")],
            Warning,
            "ANTHROPIC_API_KEY is the one",
            "only the one",
        );
        expect(&[(KEY, "canary\n")], Problem, "white space", "alone");
        expect(&[(KEY, "sk-ant-oat01-canary")], Problem, "an OAuth token", OAUTH);
        expect(&[(OAUTH, "sk-ant-api03-canary")], Problem, "an API key", KEY);
        expect(&[(KEY, "canary"), ("ANTHROPIC_BASE_URL", "http://user:canary@x")], Ok, "an API key", "");
    }
}
