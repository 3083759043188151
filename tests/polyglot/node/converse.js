// A whole client in Node.js: proto/ loaded at run time, one conversation, one streamed answer.
// Usage: converse.js PROTO_DIR ENDPOINT PROMPT; the token, where one is needed, in CLAUDE_COMMS_TOKEN.
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protoDir, endpoint, prompt] = process.argv.slice(2);
const definition = loader.loadSync("claude_comms/v1/conversation_service.proto", { includeDirs: [protoDir] });
const { ConversationService } = grpc.loadPackageDefinition(definition).claude_comms.v1;
const client = new ConversationService(endpoint.replace("http://", ""), grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
if (process.env.CLAUDE_COMMS_TOKEN) metadata.set("authorization", `Bearer ${process.env.CLAUDE_COMMS_TOKEN}`);

const fail = (error) => { console.error(`${grpc.status[error.code]}: ${error.details}`); process.exit(1); };
client.createConversation({ title: "Node" }, metadata, (error, conversation) => {
  if (error) return fail(error);
  const stream = client.sendMessage({ conversationId: conversation.id, prompt }, metadata);
  stream.on("data", (event) => { if (event.textDelta) process.stdout.write(event.textDelta.text); });
  stream.on("error", fail).on("end", () => client.close());
});
