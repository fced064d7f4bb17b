"""The OTLP edges: requests in, records to the store, the protocol's answers out.

`ingest` is what both protocols share; `http` and `rpc` speak HTTP and gRPC and know nothing of what a
point means. Store, clock and limits are arguments. Success is said only after the commit.
"""

from __future__ import annotations

from credwatch_agent.receiver.http import JSON, PEER, PROTOBUF, create_app
from credwatch_agent.receiver.ingest import Ingest, Limits, Refused
from credwatch_agent.receiver.rpc import create_server

__all__ = ["JSON", "PEER", "PROTOBUF", "Ingest", "Limits", "Refused", "create_app", "create_server"]
