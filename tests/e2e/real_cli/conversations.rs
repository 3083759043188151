//! Turns of conversations on the real CLI: one process keeps the context, counts each turn for itself, and never mixes
//! what belongs to others.

use claude_comms_proto::v1::{CreateConversationRequest, GetConversationRequest, TurnState};
use claude_comms_tests::{Reply, processes::Kind};

use super::stage::{Stage, assert_answer};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_turns_on_one_process_keep_context() {
    let stage = Stage::new().await;
    stage.api.otherwise(Reply::history());
    let instance = stage.start_instance("steady", "").await;
    let mut costs = Vec::new();
    for number in 1..=20 {
        let mut heard = stage.query("steady", &format!("prompt {number}")).await.unwrap();
        heard.to_end().await;
        assert_answer(&heard, &format!("heard {number}: prompt 1 ... prompt {number}"));
        let turn = heard.turn();
        assert_eq!((turn.attempt, turn.in_context), (1, true));
        assert_eq!(turn.instance_id, instance.id);
        let usage = turn.usage.unwrap();
        assert_eq!(
            (usage.input_tokens, usage.output_tokens),
            (10 * number, 1),
            "usage of turn {number} alone"
        );
        costs.push(turn.cost_usd);
    }
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 20, "exactly one API call a turn");
    for (index, request) in requests.iter().enumerate() {
        let prompts: Vec<String> = (1..=index + 1).map(|number| format!("prompt {number}")).collect();
        assert_eq!(request.user_texts(), prompts);
        assert_eq!(request.assistant_texts().len(), index);
    }
    // Each turn asks with ten tokens more than the one before: a sum over the process would grow by more each time.
    let step = costs[1] - costs[0];
    assert!(costs[0] > 0.0 && step > 0.0, "{costs:?}");
    for pair in costs.windows(2) {
        assert!((pair[1] - pair[0] - step).abs() < step * 1e-3, "the cost of each turn alone: {costs:?}");
    }
    let after = stage.instance("steady").await;
    assert_eq!((after.process_id, after.process_generation), (instance.process_id, 1));
    assert_eq!((after.process_id, after.turn_count), (stage.claude_pid(), 20));
    assert!((after.cost_usd - costs.iter().sum::<f64>()).abs() < 1e-9);
    let request = GetConversationRequest { id: instance.conversation_id };
    let conversation =
        stage.client.conversations.clone().get_conversation(request).await.unwrap().into_inner();
    assert_eq!((conversation.turn_count, conversation.usage), (20, after.usage));
    assert_eq!(conversation.usage.unwrap().input_tokens, 2100);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_conversations_never_mix() {
    let stage = Stage::new().await;
    stage.api.otherwise(Reply::history());
    let (red, blue) = (stage.client.new_conversation().await, stage.client.new_conversation().await);
    for round in 1..=3 {
        let (ask_red, ask_blue) = (format!("red {round}"), format!("blue {round}"));
        let (heard_red, heard_blue) =
            tokio::join!(stage.client.ask(&red, ask_red), stage.client.ask(&blue, ask_blue));
        assert_answer(&heard_red, &format!("heard {round}: red 1 ... red {round}"));
        assert_answer(&heard_blue, &format!("heard {round}: blue 1 ... blue {round}"));
    }
    for request in stage.api.requests() {
        let body = request.body.to_string();
        assert!(body.contains("red ") != body.contains("blue "), "two conversations in one request: {body}");
    }
    assert_eq!(stage.api.requests().len(), 6);
    assert_eq!(stage.server.processes().of(Kind::Claude).len(), 2, "a process of its own for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_prompt_reaches_the_model_and_no_argument() {
    system_prompt_reaches_the_model(&Stage::new().await).await;
}

/// There the CLI keeps house by other switches.
#[tokio::test(flavor = "multi_thread")]
async fn the_system_prompt_reaches_the_model_with_an_oauth_token_too() {
    let stage = Stage::with(|builder| {
        builder
            .environment("ANTHROPIC_API_KEY", "")
            .environment("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up")
    })
    .await;
    system_prompt_reaches_the_model(&stage).await;
}

async fn system_prompt_reaches_the_model(stage: &Stage) {
    // Longer than an argument may be (128 KiB on Linux).
    let system_prompt =
        format!("You are the keeper of \"quotes\",\nlines and é😀. {}", "x".repeat(300 << 10));
    let request = CreateConversationRequest {
        system_prompt: system_prompt.clone(),
        ..CreateConversationRequest::default()
    };
    let conversation =
        stage.client.conversations.clone().create_conversation(request).await.unwrap().into_inner();
    assert_answer(&stage.client.ask(&conversation.id, "hello").await, "hello");
    for process in stage.server.processes().all() {
        let arguments = process.arguments.join(" ");
        assert!(!arguments.contains("keeper of") && !arguments.contains("hello"), "{arguments}");
        assert!(!arguments.contains("made-up"), "no key either: {arguments}");
    }
    stage.kill_claude().await;
    assert_answer(&stage.client.ask(&conversation.id, "again").await, "again");
    let requests = stage.api.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.system_texts().contains(&system_prompt), "also after a resume");
        assert_eq!(request.tool_names(), Vec::<String>::new());
    }
    assert_eq!(stage.last_request_users(), ["hello", "again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_without_a_system_prompt_has_none() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    assert_answer(&stage.client.ask(&conversation, "hello").await, "hello");
    let request = stage.api.requests().remove(0);
    // Two blocks of the CLI's own always come first: who bills, and that this is an agent.
    assert_eq!(request.system_texts().len(), 2, "{:?}", request.system_texts());
    let body = request.body.to_string();
    let data_dir = stage.server.data_dir();
    assert!(!body.contains(&*data_dir.to_string_lossy()), "a path of the server: {body}");
    assert_eq!(request.user_texts(), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_of_one_conversation_run_in_order_one_at_a_time() {
    let stage = Stage::new().await;
    let conversation = stage.client.new_conversation().await;
    stage.api.otherwise(Reply::history());
    let mut turns = Vec::new();
    for number in 1..=5 {
        turns.push(stage.submit(&conversation, &format!("prompt {number}")).await.id);
    }
    for (index, id) in turns.iter().enumerate() {
        let turn = stage.wait_turn(id).await;
        assert_eq!(turn.state(), TurnState::Completed);
        assert_eq!(turn.text, format!("heard {0}: prompt 1 ... prompt {0}", index + 1));
    }
    assert_eq!(stage.api.requests().len(), 5);
}
