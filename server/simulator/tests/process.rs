//! The simulated CLI as a process: what needs a real one, such as signals,
//! pipes and exit codes. Uses the example `simulate`, which cargo builds with
//! the tests.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not known as tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, getsid, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Cli {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    _dir: TempDir,
}

fn simulate() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/simulate");
    assert!(program.is_file(), "{}: run `cargo build --example simulate`", program.display());
    program
}

#[expect(clippy::disallowed_methods, reason = "the process under test")]
fn command(scenario: &str) -> (std::process::Command, TempDir) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("scenario.yaml");
    std::fs::write(&file, scenario).unwrap();
    let mut command = std::process::Command::new(simulate());
    command.args("-p --input-format stream-json --output-format stream-json --verbose".split(' '));
    command.args(["--include-partial-messages", "--scenario"]).arg(file);
    command.env_clear().env("CLAUDE_CONFIG_DIR", dir.path()).current_dir(dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, dir)
}

impl Cli {
    /// A process that plays `scenario` and has answered `initialize`.
    fn start(scenario: &str) -> Self {
        let (mut command, dir) = command(scenario);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut cli = Self { child, stdin, stdout, _dir: dir };
        cli.write(
            &json!({ "type": "control_request", "request_id": "i", "request": { "subtype": "initialize" } }),
        );
        let answer = cli.read_until(|line| line["type"] == "control_response");
        assert_eq!(answer["response"]["response"]["pid"], cli.child.id());
        cli
    }

    fn write(&mut self, line: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn ask(&mut self, prompt: &str) {
        self.write(&json!({ "type": "user", "message": { "role": "user", "content": prompt } }));
    }

    fn read_until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            let value: Value = serde_json::from_str(&line).unwrap();
            if wanted(&value) {
                return value;
            }
            line.clear();
        }
        panic!("the output ended");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The rest of stdout, stderr and the status.
    fn finish(mut self) -> (String, String, ExitStatus) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (out, err, self.child.wait().unwrap())
    }
}

fn first_delta(line: &Value) -> bool {
    line["event"]["type"] == "content_block_delta"
}

#[test]
fn stdin_closed_when_idle_is_exit_0_and_after_an_error_exit_1() {
    for (scenario, code) in [("turns: []", 0), ("turns: [{ steps: [{ fail: { status: 500 } }] }]", 1)] {
        let mut cli = Cli::start(scenario);
        cli.ask("x");
        cli.read_until(|line| line["type"] == "result");
        cli.close_stdin();
        assert_eq!(cli.finish().2.code(), Some(code));
    }
}

#[test]
fn stdin_closed_mid_turn_lets_the_turn_finish() {
    let mut cli = Cli::start("turns: [{ steps: [{ text: a }, { delay_ms: 50 }, { text: b }] }]");
    cli.ask("x");
    cli.read_until(first_delta);
    cli.close_stdin();
    let (out, _, status) = cli.finish();
    assert!(out.contains("\"result\":\"ab\""), "{out}");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn sigterm_and_sighup_exit_with_the_codes_of_the_real_cli() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut cli = Cli::start("turns: [{ steps: [{ text: a }, hang] }]");
        cli.ask("x");
        cli.read_until(first_delta);
        cli.signal(signal);
        let (out, _, status) = cli.finish();
        assert_eq!(status.code(), Some(code));
        assert!(!out.contains("\"result\""));
    }
}

#[test]
fn sigterm_is_heard_while_nobody_reads_the_output() {
    let mut cli =
        Cli::start("turns: [{ steps: [{ text: a }, { repeat: { text: bbbb, count: 1000000000 } }] }]");
    cli.ask("x");
    cli.read_until(first_delta);
    cli.signal(Signal::TERM);
    assert_eq!(cli.child.wait().unwrap().code(), Some(143));
}

#[test]
fn sigint_mid_turn_gives_the_partial_answer_and_no_result() {
    let mut cli = Cli::start("turns: [{ steps: [{ text: half }, hang] }]");
    cli.ask("x");
    cli.read_until(first_delta);
    cli.signal(Signal::INT);
    let (out, _, status) = cli.finish();
    assert_eq!(status.code(), Some(0));
    assert!(out.contains("[Request interrupted by user]") && out.contains("\"text\":\"half\""), "{out}");
    assert!(!out.contains("\"type\":\"result\""));
}

#[test]
fn sigterm_and_the_end_of_stdin_can_be_ignored() {
    let mut cli = Cli::start("start: [{ ignore_eof: true, ignore_sigterm: true }]");
    cli.signal(Signal::TERM);
    cli.ask("still there?");
    cli.read_until(|line| line["type"] == "result");
    cli.close_stdin();
    cli.signal(Signal::TERM);
    assert!(cli.child.try_wait().unwrap().is_none());
    cli.signal(Signal::KILL);
    assert_eq!(cli.finish().2.signal(), Some(9));
}

#[test]
fn a_crash_by_sigkill_looks_like_one_and_keeps_what_was_printed() {
    let mut cli = Cli::start("turns: [{ steps: [{ repeat: { text: a, count: 3 } }, { crash: kill }] }]");
    cli.ask("x");
    let (out, _, status) = cli.finish();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(out.matches("text_delta").count(), 3);
}

#[test]
fn an_exit_at_start_tells_why() {
    let (mut command, _dir) = command("start: [{ stderr: 'no disk', exit: 5 }]");
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!((status.code(), stdout.as_slice(), stderr.as_slice()), (Some(5), &b""[..], &b"no disk"[..]));
}

#[test]
fn a_wrong_scenario_is_told_and_exits_with_2() {
    let (mut command, _dir) = command("turns:\n- stpes: []\n");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("scenario.yaml") && stderr.contains("stpes"), "{stderr}");
}

#[test]
fn an_unknown_session_is_told_on_both_sides_and_exits_with_1() {
    let (mut command, _dir) = command("turns: []");
    let output = command.arg("--resume=11111111-1111-4111-8111-111111111111").output().unwrap();
    let told = "No conversation found with session ID: 11111111-1111-4111-8111-111111111111";
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["subtype"], "error_during_execution");
    assert_eq!(result["errors"], json!([told]));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{told}\n"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_version_is_given() {
    let (mut command, _dir) = command("turns: []");
    let output = command.arg("--version").output().unwrap();
    assert_eq!(output.stdout, b"2.1.330 (simulated)\n");
}

#[test]
fn a_grandchild_leaves_our_session_and_outlives_us() {
    let mut cli = Cli::start("turns: [{ steps: [{ spawn_grandchild: { seconds: 600 } }, { crash: kill }] }]");
    cli.ask("x");
    let (_, err, _) = cli.finish();
    let pid = err.trim().strip_prefix("simulated grandchild ").unwrap().parse().unwrap();
    let grandchild = Pid::from_raw(pid).unwrap();
    test_kill_process(grandchild).expect("it lives");
    assert_eq!(getsid(Some(grandchild)).unwrap(), grandchild);
    kill_process(grandchild, Signal::KILL).unwrap();
}

#[test]
fn a_grandchild_can_hold_our_stdout() {
    let (mut command, _dir) =
        command("start: [{ spawn_grandchild: { seconds: 600, holds_stdout: true }, exit: 0 }]");
    let mut child = command.spawn().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let pid = stderr.trim().strip_prefix("simulated grandchild ").unwrap();
    let ours = rustix::fs::fstat(child.stdout.as_ref().unwrap()).unwrap().st_ino;
    // Its stdin is the writing end of the pipe whose reading end is ours.
    let held = rustix::fs::stat(format!("/proc/{pid}/fd/0")).unwrap().st_ino;
    assert_eq!(held, ours);
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(child.stdout.take().unwrap().read(&mut [0]).unwrap(), 0);
}
