//! The typed Rust client of claude-comms. It owns discovery of endpoint and token, the connection, typed errors, and
//! the turn stream that takes itself up again; it knows nothing of how the server works inside.
//!
//! [`Client`] is the handle, [`TurnStream`] the answer as it comes, [`Error`] what went wrong. Requests and resources
//! are the messages of the contract, [`v1`].
//!
//! ```no_run
//! use claude_comms_client::{Client, TurnUpdate, v1};
//!
//! # async fn example() -> Result<(), claude_comms_client::Error> {
//! let client = Client::from_env()?;
//! let conversation = client.create_conversation(v1::CreateConversationRequest::default()).await?;
//! let mut turn = client
//!     .send_message(v1::SendMessageRequest {
//!         conversation_id: conversation.id,
//!         prompt: "Why is the sky blue?".into(),
//!         ..Default::default()
//!     })
//!     .await?;
//! while let Some(event) = turn.next().await {
//!     match event?.update {
//!         TurnUpdate::Text { text, .. } => print!("{text}"),
//!         TurnUpdate::Reset { .. } => println!("\n(again)"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod again;
mod backoff;
mod calls;
mod client;
mod conversation_stream;
mod endpoint;
mod environment;
mod error;
mod event;
mod parameters;
mod progress;
mod tls;
mod transport;
mod turn_stream;
mod watched;
mod watching;

pub use calls::Diagnosis;
pub use claude_comms_proto::v1;
pub use client::{Builder, Client};
pub use conversation_stream::ConversationStream;
pub use endpoint::{Endpoint, EndpointError};
pub use environment::{Environment, TokenError};
pub use error::{Detail, Error, FieldViolation};
pub use event::{Answer, ConversationEvent, TurnEvent, TurnUpdate};
pub use parameters::text_parameters;
pub use tls::TlsError;
pub use tonic::Code;
pub use turn_stream::TurnStream;
pub use watching::{MonitorStream, PoolStream};
