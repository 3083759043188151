// One module asks another in Node.js: prints the answer's data as JSON.
// Set up: npm ci. Usage: node ask_module.js PROTO_DIR ENDPOINT SOURCE TARGET CAPABILITY PROMPT; a token, where one is needed, in
// CLAUDE_COMMS_TOKEN.
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protoDir, endpoint, source, target, capability, prompt] = process.argv.slice(2);
const definition = loader.loadSync("claude_comms/v1/module_service.proto", { includeDirs: [protoDir] });
const { ModuleService } = grpc.loadPackageDefinition(definition).claude_comms.v1;
const client = new ModuleService(endpoint.replace("http://", ""), grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
if (process.env.CLAUDE_COMMS_TOKEN) metadata.set("authorization", `Bearer ${process.env.CLAUDE_COMMS_TOKEN}`);

async function main() {
  for await (const event of client.queryModule({ source, target, capability, prompt }, metadata)) {
    const ended = event.failed || event.cancelled;
    if (ended) throw new Error(`${ended.turn.failure.reason}: ${ended.turn.failure.message}`);
    // The exact text that Claude wrote; `data` is the same as a google.protobuf.Value.
    if (event.completed) console.log(event.completed.turn.dataJson);
  }
}
main().catch((error) => { console.error(error.code ? `${grpc.status[error.code]}: ${error.details}` : error.message); process.exitCode = 1; })
  .finally(() => client.close());
