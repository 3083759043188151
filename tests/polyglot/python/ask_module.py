"""One module asks another in Python: prints the answer's data as JSON.

Set up: pip install -r requirements.txt. Usage: ask_module.py PROTO_DIR ENDPOINT SOURCE TARGET CAPABILITY PROMPT; a token, where
one is needed, in CLAUDE_COMMS_TOKEN.
"""
import os
import sys

import grpc
from google.protobuf import json_format

sys.path.append(sys.argv[1])
messages, services = grpc.protos_and_services("claude_comms/v1/module_service.proto")

token = os.environ.get("CLAUDE_COMMS_TOKEN")
metadata = [("authorization", f"Bearer {token}")] if token else []
options = [("grpc.default_authority", "localhost")]  # over a Unix socket gRPC's own default is no valid HTTP/2 authority
with grpc.insecure_channel(sys.argv[2].removeprefix("http://"), options) as channel:
    source, target, capability, prompt = sys.argv[3:]
    request = messages.QueryModuleRequest(source=source, target=target, capability=capability, prompt=prompt)
    for event in services.ModuleServiceStub(channel).QueryModule(request, metadata=metadata):
        kind = event.WhichOneof("event")
        if kind in ("failed", "cancelled"):
            failure = getattr(event, kind).turn.failure
            sys.exit(f"{failure.reason}: {failure.message}")
        if kind == "completed":
            print(json_format.MessageToJson(event.completed.turn.data))
