// A whole client in Node.js: proto/ loaded at run time, one conversation, two questions, the answers as they come.
// Set up: npm ci. Usage: node converse.js PROTO_DIR ENDPOINT PROMPT...; a token, where one is needed, in CLAUDE_COMMS_TOKEN,
// for https:// the authority's certificate in the file that CLAUDE_COMMS_TLS_CA names.
const grpc = require("@grpc/grpc-js");
const fs = require("fs");
const loader = require("@grpc/proto-loader");

const [protoDir, endpoint, ...prompts] = process.argv.slice(2);
const definition = loader.loadSync("claude_comms/v1/conversation_service.proto", { includeDirs: [protoDir] });
const { ConversationService } = grpc.loadPackageDefinition(definition).claude_comms.v1;
const credentials = endpoint.startsWith("https://")
  ? grpc.credentials.createSsl(fs.readFileSync(process.env.CLAUDE_COMMS_TLS_CA))
  : grpc.credentials.createInsecure();
const client = new ConversationService(endpoint.replace(/^https?:\/\//, ""), credentials);
const metadata = new grpc.Metadata();
if (process.env.CLAUDE_COMMS_TOKEN) metadata.set("authorization", `Bearer ${process.env.CLAUDE_COMMS_TOKEN}`);

async function main() {
  const conversation = await new Promise((done, fail) =>
    client.createConversation({ title: "Node" }, metadata, (error, made) => (error ? fail(error) : done(made))));
  for (const prompt of prompts) {
    for await (const event of client.sendMessage({ conversationId: conversation.id, prompt }, metadata)) {
      if (event.textDelta) process.stdout.write(event.textDelta.text);
      if (event.textReset) process.stdout.write("\n[begun again]\n"); // what was printed since the last one is void
      const ended = event.failed || event.cancelled;
      if (ended) throw new Error(`${ended.turn.failure.reason}: ${ended.turn.failure.message}`);
    }
    process.stdout.write("\n");
  }
}
main().catch((error) => { console.error(error.code ? `${grpc.status[error.code]}: ${error.details}` : error.message); process.exitCode = 1; })
  .finally(() => client.close());
