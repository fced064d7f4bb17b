"""`credwatch-agent token`: make a bearer token. The token is shown once; the file gets its hash."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from credwatch_agent.access import BadTokens, hash_of, new_token, parse
from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, UsageError


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is, as logs name it.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="`ingest`, `read` or `admin`.")] = "ingest",
    account: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="AWS account that it may speak for; repeatable.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0.01, max=36_500, help="Days until it expires; default: never.")
    ] = None,
) -> int:
    """Make a bearer token for `serve --tokens`.

    Prints a row for that file to stdout, and the token itself to stderr.
    """
    secret = new_token()
    row = {"name": name, "sha256": hash_of(secret).hex(), "role": role, **({"accounts": account} if account else {})}
    try:
        parse({"token": [row]})
    except BadTokens as error:
        raise UsageError(str(error).removeprefix("token 1: ")) from None
    accounts = f"accounts = [{', '.join(repr(a) for a in account)}]\n".replace("'", '"') if account else ""
    moment = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days) if days else None
    expires = f"expires = {moment:%Y-%m-%dT%H:%M:%SZ}\n" if moment else ""
    text = f'[[token]]\nname = "{name}"\nsha256 = "{row["sha256"]}"\nrole = "{role}"\n{accounts}{expires}'
    out.print(text, soft_wrap=True)
    err.print(secret, soft_wrap=True)
    return CLEAN
