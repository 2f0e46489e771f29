#!/bin/sh
# opentelemetry-proto 1.45.2 (the official schema) with protobuf 7.36.2 reads a valid OTLP/JSON export without an error, and
# its trace ids are wrong.
#
# OTLP/JSON is "the JSON encoding of Protocol Buffers, except" that traceId and spanId are hex. The JSON parser of Protocol
# Buffers takes the hex digits for base64, of which they are a subset: a trace id of 16 bytes becomes 24 other bytes. A
# receiver has to convert the ids first.
#
# Seen: 24 bytes e5bf1e7df7fbf7cd37f35d37776ebd6fadf7f35ddf73ad1c
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opentelemetry-proto==1.45.2 protobuf==7.36.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = "5b8efff798038103d269b633813fc60c"
span = {
    "traceId": TRACE, "spanId": "eee19b7ec3c1b174", "name": "sending", "kind": 3,
    "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000",
}
request = ParseDict({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, ExportTraceServiceRequest())
read = request.resource_spans[0].scope_spans[0].spans[0].trace_id
print(len(read), "bytes", read.hex())
sys.exit(0 if len(read) == 24 else "changed: the parser reads the ids of OTLP/JSON")
PYTHON
