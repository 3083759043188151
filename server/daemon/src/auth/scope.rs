//! What scope each RPC needs. An RPC that is not here needs ADMIN, and a test fails until it is.

use claude_comms_model::TokenScope;

use TokenScope::{Admin, Query, Read};

const PACKAGE: &str = "/claude_comms.v1.";
/// Both versions of it.
const REFLECTION: &str = "/grpc.reflection.";
/// Open to everybody.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Every RPC of the contract, by name.
const SCOPES: &[(&str, TokenScope)] = &[
    ("ConversationService/CancelTurn", Query),
    ("ConversationService/CreateConversation", Query),
    ("ConversationService/GetConversation", Read),
    ("ConversationService/GetTurn", Read),
    ("ConversationService/ListConversations", Read),
    ("ConversationService/ListTurns", Read),
    ("ConversationService/SendMessage", Query),
    ("ConversationService/SubmitMessage", Query),
    ("ConversationService/UpgradeConversation", Query),
    ("ConversationService/WaitTurn", Read),
    ("ConversationService/WatchConversation", Read),
    ("ConversationService/WatchTurn", Read),
    // It tells paths, versions and limits of the machine, and a turn of it costs money.
    ("DiagnosticsService/Diagnose", Admin),
    ("DiagnosticsService/Drain", Admin),
    ("DiagnosticsService/GetServerInfo", Read),
    ("DiagnosticsService/GetStatistics", Read),
    ("InstanceService/GetInstance", Read),
    ("InstanceService/InterruptInstance", Admin),
    ("InstanceService/ListInstances", Read),
    ("InstanceService/MonitorInstance", Read),
    ("InstanceService/PauseInstance", Admin),
    ("InstanceService/QueryInstance", Query),
    ("InstanceService/ResumeInstance", Admin),
    ("InstanceService/StartInstance", Admin),
    ("InstanceService/StopInstance", Admin),
    ("InstanceService/WatchPool", Read),
    ("ModuleService/DiscoverModules", Read),
    ("ModuleService/GetModule", Read),
    ("ModuleService/ListModules", Read),
    ("ModuleService/PreviewContext", Read),
    ("ModuleService/QueryModule", Query),
    ("ModuleService/RegisterModule", Admin),
    ("ModuleService/SubmitModuleQuery", Query),
    ("ModuleService/UnregisterModule", Admin),
    ("ModuleService/UpdateModule", Admin),
    ("TokenService/CreateToken", Admin),
    ("TokenService/ListTokens", Admin),
    ("TokenService/RevokeToken", Admin),
];

/// The scope that a call to this path needs; `None` for what is open.
pub fn needed(path: &str) -> Option<TokenScope> {
    if path.starts_with(HEALTH) {
        return None;
    }
    if path.starts_with(REFLECTION) {
        return Some(Read);
    }
    let known = path.strip_prefix(PACKAGE).and_then(named);
    Some(known.unwrap_or(Admin))
}

fn named(rpc: &str) -> Option<TokenScope> {
    let place = SCOPES.binary_search_by_key(&rpc, |(name, _)| name).ok()?;
    Some(SCOPES[place].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_contract_has_its_scope_in_the_table_and_none_else() {
        let pool = claude_comms_proto::descriptor_pool();
        let mut rpcs = Vec::new();
        for service in pool.services().filter(|service| service.package_name() == "claude_comms.v1") {
            rpcs.extend(service.methods().map(|method| format!("{}/{}", service.name(), method.name())));
        }
        for rpc in &rpcs {
            assert!(named(rpc).is_some(), "say in auth/scope.rs which scope {rpc} needs");
        }
        for (rpc, _) in SCOPES {
            assert!(rpcs.iter().any(|known| known == rpc), "{rpc} is no RPC");
        }
    }

    #[test]
    fn the_table_is_in_order_and_what_is_not_in_it_needs_admin() {
        assert!(SCOPES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (path, scope) in [
            ("/claude_comms.v1.ConversationService/SendMessage", Some(Query)),
            ("/claude_comms.v1.ConversationService/SendMessages", Some(Admin)),
            ("/claude_comms.v1.ConversationService/", Some(Admin)),
            ("/claude_comms.v2.ConversationService/GetTurn", Some(Admin)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Read)),
            ("/grpc.health.v1.Health/Check", None),
            ("/grpc.health.v1.Health", Some(Admin)),
            ("", Some(Admin)),
        ] {
            assert_eq!(needed(path), scope, "{path}");
        }
    }
}
