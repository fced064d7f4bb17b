"""credwatch: which credential source signed each AWS call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from credwatch.identity.model import Identity

__all__ = ["__version__", "whoami"]

__version__ = "0.1.0"


def whoami(session: Any = None) -> Identity:
    """Return which credential source this process, or a boto3 or botocore session, would use.

    See `credwatch.identity.ask.whoami`. botocore is imported at the call, not with credwatch.
    """
    from credwatch.identity import ask  # noqa: PLC0415

    return ask.whoami(session)
