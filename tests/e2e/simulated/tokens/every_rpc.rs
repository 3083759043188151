//! Every RPC, as the server itself lists them: none is forgotten when one is added.

use bytes::{Buf as _, Bytes};
use claude_comms_proto::v1::TokenScope;
use claude_comms_tests::{TestServer, client::reason, eventually, within};
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use super::{create, create_for, look, revoke, with};

/// What each RPC needs; `None` is open to everybody.
fn needed(rpc: &str) -> Option<TokenScope> {
    use TokenScope::{Admin, Query, Read};
    Some(match rpc.strip_prefix("claude_comms.v1.").unwrap_or(rpc) {
        "grpc.health.v1.Health/Check" | "grpc.health.v1.Health/Watch" | "grpc.health.v1.Health/List" => {
            return None;
        }
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        | "ConversationService/GetConversation"
        | "ConversationService/ListConversations"
        | "ConversationService/WatchConversation"
        | "ConversationService/GetTurn"
        | "ConversationService/ListTurns"
        | "ConversationService/WaitTurn"
        | "ConversationService/WatchTurn"
        | "DiagnosticsService/GetServerInfo"
        | "DiagnosticsService/GetStatistics"
        | "InstanceService/GetInstance"
        | "InstanceService/ListInstances"
        | "InstanceService/MonitorInstance"
        | "InstanceService/WatchPool"
        | "ModuleService/DiscoverModules"
        | "ModuleService/GetModule"
        | "ModuleService/ListModules"
        | "ModuleService/PreviewContext" => Read,
        "ConversationService/CancelTurn"
        | "ConversationService/CreateConversation"
        | "ConversationService/SendMessage"
        | "ConversationService/SubmitMessage"
        | "ConversationService/UpgradeConversation"
        | "InstanceService/QueryInstance"
        | "ModuleService/QueryModule"
        | "ModuleService/SubmitModuleQuery" => Query,
        "DiagnosticsService/Diagnose"
        | "DiagnosticsService/Drain"
        | "InstanceService/InterruptInstance"
        | "InstanceService/PauseInstance"
        | "InstanceService/ResumeInstance"
        | "InstanceService/StartInstance"
        | "InstanceService/StopInstance"
        | "ModuleService/RegisterModule"
        | "ModuleService/UnregisterModule"
        | "ModuleService/UpdateModule"
        | "TokenService/CreateToken"
        | "TokenService/ListTokens"
        | "TokenService/RevokeToken" => Admin,
        other => panic!("say here which scope {other} needs"),
    })
}

/// Sends an empty message and takes whatever comes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Calls an RPC with an empty request; what it is answered before any message.
async fn call(channel: &Channel, rpc: &str, authorization: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("the connection stands");
    let mut request = Request::new(());
    if let Some(text) = authorization {
        request.metadata_mut().insert("authorization", text.parse().expect("ASCII"));
    }
    let path = format!("/{rpc}").parse().expect("a path");
    within(rpc, grpc.server_streaming(request, path, Raw)).await.map(|_| ())
}

/// Every RPC of the server, by reflection.
async fn rpcs(channel: &Channel, token: &str) -> Vec<String> {
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut ask = async |question| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut request = Request::new(tokio_stream::once(request));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        let mut answers = client.server_reflection_info(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(services) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services");
    };
    let mut rpcs = Vec::new();
    for service in services.service {
        let MessageResponse::FileDescriptorResponse(files) =
            ask(MessageRequest::FileContainingSymbol(service.name.clone())).await
        else {
            panic!("no file of {}", service.name);
        };
        let name = service.name.rsplit('.').next().expect("a name").to_owned();
        for file in files.file_descriptor_proto {
            let file = FileDescriptorProto::decode(file.as_slice()).expect("a descriptor");
            let found = file.service.into_iter().filter(|found| found.name.as_deref() == Some(&name));
            rpcs.extend(
                found
                    .flat_map(|found| found.method)
                    .map(|method| format!("{}/{}", service.name, method.name())),
            );
        }
    }
    rpcs
}

#[tokio::test]
async fn every_rpc_refuses_every_bad_token_and_every_narrower_scope() {
    use TokenScope::{Admin, Query, Read};
    let server = TestServer::simulated().tcp().start().await;
    let channel = Endpoint::from_shared(server.tcp().to_owned()).unwrap().connect().await.unwrap();
    let mut scopes = Vec::new();
    for (scope, name) in [(Read, "read"), (Query, "query"), (Admin, "admin")] {
        scopes.push((scope, name, format!("Bearer {}", create(&server, name, scope).await)));
    }
    let revoked = create(&server, "revoked", Admin).await;
    revoke(&server, "revoked").await;
    let expired = create_for(&server, "expired", Admin, Some(1)).await;
    let client = with(&server, &expired).await;
    eventually(claude_comms_tests::PATIENCE, "the token expires", async || look(&client).await.err()).await;

    let default = server.token();
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer wrong".to_owned()),
        Some(default.clone()),
        Some(format!("Basic {default}")),
        Some(format!("Bearer  {default}")),
        Some(format!("Bearer {}x", &default[..default.len() - 1])),
        Some(format!("Bearer {}", &default[..default.len() - 1])),
        Some(format!("Bearer {default}{default}")),
        Some(format!("Bearer {revoked}")),
    ];
    let mut rpcs = rpcs(&channel, &default).await;
    assert!(rpcs.len() > 25, "{rpcs:?}");
    // Last, because it ends the server.
    rpcs.sort_by_key(|rpc| rpc.ends_with("/Drain"));
    for rpc in &rpcs {
        let Some(needed) = needed(rpc) else {
            call(&channel, rpc, None)
                .await
                .unwrap_or_else(|status| assert_ne!(status.code(), Code::Unauthenticated));
            continue;
        };
        for given in &wrong {
            let status = call(&channel, rpc, given.as_deref()).await.expect_err(rpc);
            let heard = (status.code(), reason(&status));
            assert_eq!(heard, (Code::Unauthenticated, "TOKEN_REQUIRED".to_owned()), "{rpc} {given:?}");
            assert!(!status.message().contains(&default), "{status:?}");
        }
        let status = call(&channel, rpc, Some(&format!("Bearer {expired}"))).await.expect_err(rpc);
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "TOKEN_EXPIRED"),
            "{rpc}"
        );
        for (scope, name, token) in &scopes {
            let answer = call(&channel, rpc, Some(token)).await;
            if *scope >= needed {
                let refusals = ["TOKEN_REQUIRED", "TOKEN_EXPIRED", "SCOPE_TOO_NARROW"];
                let reason = answer.err().map(|status| reason(&status)).unwrap_or_default();
                assert!(!refusals.contains(&reason.as_str()), "{rpc} with {name}: {reason}");
                continue;
            }
            let status = answer.expect_err(rpc);
            let heard = (status.code(), reason(&status));
            assert_eq!(heard, (Code::PermissionDenied, "SCOPE_TOO_NARROW".to_owned()), "{rpc} with {name}");
            let metadata = status.get_error_details().error_info().expect("ErrorInfo").metadata.clone();
            let wanted = needed.as_str_name().trim_start_matches("TOKEN_SCOPE_").to_lowercase();
            assert_eq!(
                (&metadata["scope"], &metadata["needed_scope"]),
                (&(*name).to_owned(), &wanted),
                "{rpc}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_rpc_needs_a_token_too() {
    let server = TestServer::simulated().tcp().start().await;
    let channel = Endpoint::from_shared(server.tcp().to_owned()).unwrap().connect().await.unwrap();
    let read = format!("Bearer {}", create(&server, "read", TokenScope::Read).await);
    for rpc in ["claude_comms.v1.TokenService/Nothing", "nothing.Here/AtAll", "grpc.health.v1.Healthy/Check"]
    {
        let status = call(&channel, rpc, None).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, "TOKEN_REQUIRED"),
            "{rpc}"
        );
        let status = call(&channel, rpc, Some(&read)).await.unwrap_err();
        assert_eq!(reason(&status), "SCOPE_TOO_NARROW", "{rpc}");
        let admin = format!("Bearer {}", server.token());
        assert_eq!(call(&channel, rpc, Some(&admin)).await.unwrap_err().code(), Code::Unimplemented, "{rpc}");
    }
}
