"""What an object of botocore that holds credentials knows of whose they are, beside the keys.

Reads what is in memory. It asks nobody, and touches no attribute that would refresh the credentials: botocore's public
ones do. An object of another make knows nothing, which is no error.
"""

from __future__ import annotations

from typing import Any

from credwatch.provenance import NOBODY, Told, account_of, permission_set_role, signed_in


def told(credentials: Any, method: str) -> Told:
    """Return what botocore's own provider of the method was told of the principal."""
    fetcher = getattr(getattr(credentials, "_refresh_using", None), "__self__", None)
    if method == "sso":
        name = permission_set_role(getattr(fetcher, "_role_name", ""))
        return Told("", name, str(getattr(fetcher, "_account_id", "") or ""))
    if method == "login":
        account = str(getattr(getattr(credentials, "_frozen_credentials", None), "account_id", "") or "")
        principal = signed_in(getattr(fetcher, "_session_name", ""))
        return Told(principal if account_of(principal) == account else "", "", account)
    return NOBODY
