//! What operators type to watch.

use std::process::Stdio;

use claude_comms_tests::{TestServer, within};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{
    super::support::{playing_turns, start_instance},
    support::{ask, stop},
};

const TALKATIVE: &str = r#"
turns:
  - steps:
      - stderr: "a word on stderr\n"
      - tool_call: { name: lookup, input: { city: Bern }, result: { text: sunny } }
      - text: "It is sunny."
"#;

#[tokio::test]
async fn an_instances_life_is_printed_for_people_and_for_programs() {
    let server = playing_turns(TALKATIVE).start().await;
    let client = server.client().await;
    let id = start_instance(&client, "seen").await.id;
    let mut watching = server.cli_command(&["monitor-instance", "--id", "seen", "--from", "0"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut shown = String::new();
    while let Some(line) = within("a line", lines.next_line()).await.unwrap() {
        shown.push_str(&line);
        shown.push('\n');
        if line.contains("STARTING → IDLE") {
            // It watches now: what was before is history, of which no text is shown.
            ask(&client, &id, "weather?").await;
            stop(&client, &id).await;
        }
    }
    assert!(within("its end", watching.wait()).await.unwrap().success(), "{shown}");
    for part in [
        "state    STARTING\n",
        "IDLE → BUSY\n",
        "the 1. of this instance\n",
        " started\n",
        "stderr   a word on stderr\n",
        "tool     calls lookup {\"city\":\"Bern\"}\n",
        "\nIt is sunny.\n",
        " COMPLETED · ",
        "STOPPING → STOPPED\n",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
    let lines = server
        .cli(&["monitor-instance", "--id", &id, "--from", "3", "--output", "json"])
        .await
        .expect(0)
        .json_lines();
    assert_eq!(lines[0]["sequence"], "4");
    assert_eq!(lines[0]["stateChanged"]["state"], "INSTANCE_STATE_BUSY");
    assert!(lines.iter().all(|line| line["instanceId"] == id.as_str()));
    let unknown = server.cli(&["monitor-instance", "--id", "nobody"]).await.expect(4);
    assert!(unknown.stderr.contains("nobody"), "{}", unknown.stderr);
}

#[tokio::test]
async fn the_list_of_instances_goes_on_and_the_status_counts() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let id = start_instance(&client, "listed").await.id;
    ask(&client, &id, "go").await;
    let table = server.cli(&["list-instances"]).await.expect(0).stdout;
    for column in ["ID", "NAME", "STATE", "BACKEND", "CONVERSATION", "TURNS", "MEMORY", "COST", "LAST ACTIVE"]
    {
        assert!(table.contains(column), "{column} in:\n{table}");
    }
    let watching = server.cli(&["list-instances", "--watch", "--timeout", "3s"]);
    let ((), ran) = tokio::join!(
        async {
            start_instance(&client, "later").await;
            stop(&client, &id).await;
        },
        watching
    );
    let shown = ran.expect(124).stdout;
    let lists: Vec<_> = shown.split("\n\n").collect();
    assert!(lists.len() > 1, "{shown}");
    let last = lists.iter().rev().find(|list| !list.trim().is_empty()).unwrap();
    assert!(last.contains("later") && !last.contains("listed"), "{shown}");
    let json = server.cli(&["list-instances", "--watch", "--timeout", "1s", "--output", "json"]).await;
    let lines = json.expect(124).json_lines();
    assert_eq!((&lines[0]["full"], &lines[0]["counts"]["idle"]), (&true.into(), &1.into()));
    let status = server.cli(&["status"]).await.expect(0).stdout;
    for part in ["1 idle", "1 completed, 0 failed, 0 cancelled"] {
        assert!(status.contains(part), "{part} in:\n{status}");
    }
    let both = server.cli(&["list-instances", "--watch", "--all"]).await.expect(2);
    assert!(both.stderr.contains("--all"), "{}", both.stderr);
}
