//! The contract of claude-comms: messages, clients and servers of `claude_comms.v1`, generated from
//! `proto/claude_comms/v1/*.proto`. The .proto files are the documentation; this crate adds only what
//! generation cannot: the descriptor set and the mapping to proto3 JSON.

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

/// Version 1 of the contract.
#[expect(clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("claude_comms.v1");
}

impl std::fmt::Debug for v1::CreateTokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Only whoever asked for the secret may see it.
        f.debug_struct("CreateTokenResponse").field("token", &self.token).finish_non_exhaustive()
    }
}

/// The encoded `FileDescriptorSet` of the contract, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The contract's descriptors, decoded once a process.
///
/// # Panics
/// Never for a build that succeeded: the set was written by `build.rs`.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptor set was written by build.rs")
    })
}
