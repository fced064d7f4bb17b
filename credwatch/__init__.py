"""credwatch: which credential source signed each AWS call.

Importing this package imports neither botocore nor OpenTelemetry; its functions do, when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.trace import TracerProvider

    from credwatch.identity.model import Identity
    from credwatch.settings import Settings

__all__ = ["__version__", "instrument", "uninstrument", "whoami"]

__version__ = "0.1.0"


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    exporter: MetricExporter | None = None,
    settings: Settings | None = None,
) -> None:
    """Switch credwatch on in this process; see `credwatch.instrumentor.instrument`. Never raises."""
    from credwatch import instrumentor  # noqa: PLC0415 - see the module's docstring

    instrumentor.instrument(tracer_provider=tracer_provider, exporter=exporter, settings=settings)


def uninstrument() -> None:
    """Switch credwatch off and restore what it wrapped. Never raises."""
    from credwatch import instrumentor  # noqa: PLC0415

    instrumentor.uninstrument()


def whoami(session: Any = None) -> Identity:
    """Return which credential source this process, or a boto3 or botocore session, would use.

    See `credwatch.identity.ask.whoami`.
    """
    from credwatch.identity import ask  # noqa: PLC0415

    return ask.whoami(session)
