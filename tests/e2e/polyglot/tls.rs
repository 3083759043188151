//! The same clients over TLS: the authority in a file, a named token, and what happens without either.

use std::path::PathBuf;

use claude_comms_proto::v1::{CreateTokenRequest, TokenScope};
use claude_comms_tests::{Ran, TestServer, tls::Authority, tools};
use tokio::process::Command;

use super::{PROMPT, are_answers};

/// A server on TLS, the file of its authority, and a token that may ask.
struct Stage {
    server: TestServer,
    ca: PathBuf,
    token: String,
}

impl Stage {
    async fn set() -> Self {
        let authority = Authority::new();
        let builder = TestServer::simulated();
        let root = builder.world().root().to_owned();
        let (cert, key) = authority.server().write(&root, "server");
        let ca = root.join("ca.pem");
        std::fs::write(&ca, &authority.pem).unwrap();
        let yaml = format!("tls: {{cert: {}, key: {}}}\n", cert.display(), key.display());
        let server = builder.configuration(yaml).listen("https://127.0.0.1:0").start().await;
        let request =
            CreateTokenRequest { name: "app".into(), scope: TokenScope::Query.into(), lifetime: None };
        let token = server.client().await.tokens.create_token(request).await.unwrap().into_inner().secret;
        Self { server, ca, token }
    }

    fn endpoint(&self) -> &str {
        self.server.endpoints().iter().find(|endpoint| endpoint.starts_with("https://")).expect("TLS")
    }

    /// grpcurl with this authority, or with the system's.
    async fn grpcurl(&self, trusting: bool, token: &str, call: &[&str]) -> Ran {
        let mut command = self.server.world().command(&tools::grpcurl());
        command.args(["-max-time", "60", "-H", &format!("authorization: Bearer {token}")]);
        if trusting {
            command.arg("-cacert").arg(&self.ca);
        }
        command.arg(self.endpoint().trim_start_matches("https://")).args(call);
        Ran::to_end(command).await
    }

    async fn converse(&self, mut command: Command, token: Option<&str>) -> Ran {
        command.arg(tools::repository().join("proto")).args([self.endpoint(), PROMPT, "And before?"]);
        command.env("CLAUDE_COMMS_TLS_CA", &self.ca);
        if let Some(token) = token {
            command.env("CLAUDE_COMMS_TOKEN", token);
        }
        Ran::to_end(command).await
    }

    fn python(&self) -> Command {
        let mut command = self.server.world().command(&tools::python());
        command.arg(tools::repository().join("tests/polyglot/python/converse.py"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn node(&self) -> Command {
        let (node, modules) = tools::node();
        let mut command = self.server.world().command(&node);
        command.arg(tools::repository().join("tests/polyglot/node/converse.js")).env("NODE_PATH", modules);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_over_tls_needs_the_authority_and_the_token() {
    let stage = Stage::set().await;
    let listed = stage.grpcurl(true, &stage.token, &["list"]).await.expect(0);
    assert!(listed.stdout.contains("claude_comms.v1.TokenService"), "{listed:#?}");
    let create = "claude_comms.v1.ConversationService/CreateConversation";
    let _ = stage.grpcurl(true, &stage.token, &[create]).await.expect(0);
    // 64 plus PERMISSION_DENIED.
    let narrow =
        stage.grpcurl(true, &stage.token, &["claude_comms.v1.TokenService/ListTokens"]).await.expect(71);
    assert!(narrow.stderr.contains("needs a token of scope admin"), "{narrow:#?}");
    let wrong = stage.grpcurl(true, "wrong", &["list"]).await;
    assert!(wrong.code != Some(0) && wrong.stderr.contains("Unauthenticated"), "{wrong:#?}");
    let untrusted = stage.grpcurl(false, &stage.token, &["list"]).await;
    assert!(untrusted.code != Some(0) && untrusted.stderr.contains("certificate"), "{untrusted:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_over_tls_streams_an_answer_with_the_token_alone() {
    let stage = Stage::set().await;
    are_answers(&stage.converse(stage.python(), Some(&stage.token)).await.expect(0));
    let refused = stage.converse(stage.python(), None).await.expect(1);
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_over_tls_streams_an_answer_with_the_token_alone() {
    let stage = Stage::set().await;
    are_answers(&stage.converse(stage.node(), Some(&stage.token)).await.expect(0));
    let refused = stage.converse(stage.node(), None).await.expect(1);
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{}", refused.stderr);
}
