//! proto/ -> descriptor set (protox, no protoc) -> Rust in OUT_DIR.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "claude_comms/v1/conversation_service.proto",
    "claude_comms/v1/diagnostics_service.proto",
    "claude_comms/v1/instance_service.proto",
    "claude_comms/v1/module_service.proto",
    "claude_comms/v1/token_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Its Debug is written by hand, without the secret.
    let secret = "claude_comms.v1.CreateTokenResponse";
    // By far the largest of the oneof's, and not the most frequent.
    let large = "claude_comms.v1.InstanceEvent.event.turn";
    tonic_prost_build::configure().skip_debug([secret]).boxed(large).compile_fds(descriptors)?;
    Ok(())
}
