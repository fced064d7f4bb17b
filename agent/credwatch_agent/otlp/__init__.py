"""OTLP bytes to records: what one export request says, point by point. Pure: no socket, disk or clock.

Everything on the wire is hostile. A body that is not OTLP raises `Malformed`; a point that breaks
the contract is rejected alone, with a sentence, as OTLP's partial success wants it; metrics that
are not ours are accepted and ignored.
"""

from __future__ import annotations

from credwatch_agent.otlp.metrics import Metrics, decode_metrics
from credwatch_agent.otlp.traces import Traces, decode_traces
from credwatch_agent.otlp.wire import Encoding, Malformed

__all__ = ["Encoding", "Malformed", "Metrics", "Traces", "decode_metrics", "decode_traces"]
