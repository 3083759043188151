"""A whole client in Python: stubs made on the fly from proto/, one conversation, one streamed answer.

Usage: converse.py PROTO_DIR ENDPOINT PROMPT; the token, where one is needed, in CLAUDE_COMMS_TOKEN.
"""
import os
import sys

import grpc

sys.path.append(sys.argv[1])
messages, services = grpc.protos_and_services("claude_comms/v1/conversation_service.proto")

token = os.environ.get("CLAUDE_COMMS_TOKEN")
metadata = [("authorization", f"Bearer {token}")] if token else []
options = [("grpc.default_authority", "localhost")]  # over a Unix socket gRPC's own default is no valid HTTP/2 authority
with grpc.insecure_channel(sys.argv[2].removeprefix("http://"), options) as channel:
    stub = services.ConversationServiceStub(channel)
    conversation = stub.CreateConversation(messages.CreateConversationRequest(title="Python"), metadata=metadata)
    request = messages.SendMessageRequest(conversation_id=conversation.id, prompt=sys.argv[3])
    for event in stub.SendMessage(request, metadata=metadata):
        if event.WhichOneof("event") == "text_delta":
            print(event.text_delta.text, end="", flush=True)
