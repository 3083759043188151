//! Asks one question and prints the answer as it comes: `cargo run -p claude-comms-client --example ask -- "Why?"`.

use std::io::Write as _;

use claude_comms_client::{Client, TurnUpdate, v1};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "Why is the sky blue?".into());
    let client = Client::from_env()?;
    let conversation = client.create_conversation(v1::CreateConversationRequest::default()).await?;
    let request = v1::SendMessageRequest {
        conversation_id: conversation.id,
        prompt,
        ..v1::SendMessageRequest::default()
    };
    let mut turn = client.send_message(request).await?;
    while let Some(event) = turn.next().await {
        match event?.update {
            TurnUpdate::Text { text, .. } => {
                print!("{text}");
                std::io::stdout().flush()?;
            }
            TurnUpdate::Reset { .. } => println!("\n(the answer begins again)"),
            TurnUpdate::Completed(turn) => {
                println!("\n({} tokens)", turn.usage.unwrap_or_default().output_tokens)
            }
            TurnUpdate::Failed(turn) | TurnUpdate::Cancelled(turn) => {
                let failure = turn.failure.unwrap_or_default();
                return Err(format!("{}: {}", failure.reason, failure.message).into());
            }
            _ => {}
        }
    }
    Ok(())
}
