"""A whole client in Python: stubs made on the fly from proto/, one conversation, the answers as they come.

Set up: pip install -r requirements.txt. Usage: converse.py PROTO_DIR ENDPOINT PROMPT...; a token, where one is needed, in
CLAUDE_COMMS_TOKEN, for https:// the authority's certificate in the file that CLAUDE_COMMS_TLS_CA names.
"""
import os
import sys

import grpc

sys.path.append(sys.argv[1])
messages, services = grpc.protos_and_services("claude_comms/v1/conversation_service.proto")

token = os.environ.get("CLAUDE_COMMS_TOKEN")
metadata = [("authorization", f"Bearer {token}")] if token else []
options = [("grpc.default_authority", "localhost")]  # over a Unix socket gRPC's own default is no valid HTTP/2 authority


def connect(endpoint):
    if not endpoint.startswith("https://"):
        return grpc.insecure_channel(endpoint.removeprefix("http://"), options)
    with open(os.environ["CLAUDE_COMMS_TLS_CA"], "rb") as ca:
        credentials = grpc.ssl_channel_credentials(root_certificates=ca.read())
    return grpc.secure_channel(endpoint.removeprefix("https://"), credentials, options)


with connect(sys.argv[2]) as channel:
    stub = services.ConversationServiceStub(channel)
    conversation = stub.CreateConversation(messages.CreateConversationRequest(title="Python"), metadata=metadata)
    for prompt in sys.argv[3:]:
        request = messages.SendMessageRequest(conversation_id=conversation.id, prompt=prompt)
        for event in stub.SendMessage(request, metadata=metadata):
            kind = event.WhichOneof("event")
            if kind == "text_delta":
                print(event.text_delta.text, end="", flush=True)
            elif kind == "text_reset":
                print("\n[begun again]")  # what was printed since the last one is void
            elif kind in ("failed", "cancelled"):
                failure = getattr(event, kind).turn.failure
                sys.exit(f"{failure.reason}: {failure.message}")
        print()
