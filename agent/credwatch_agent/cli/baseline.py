"""`credwatch-agent baseline`: adopt a running system, so that only what is new fails from now on."""

from __future__ import annotations

from typing import Annotated

import typer

from credwatch_agent.cli.compared import Asked, amend, compared, tested_by
from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW
from credwatch_agent.cli.progress import Quiet
from credwatch_agent.cli.report import Records, Window
from credwatch_agent.cli.stored import AsJson, Db, Taken
from credwatch_agent.evidence import Settings
from credwatch_agent.evidence.settings import DEFAULT_WINDOW_DAYS
from credwatch_agent.findings import life
from credwatch_agent.findings.words import count
from credwatch_agent.snapshot import load


def baseline(
    db: Db,
    snapshot: Taken,
    window: Window = DEFAULT_WINDOW_DAYS,
    record: Records = None,
    clear: Annotated[bool, typer.Option("--clear", help="Drop the baseline: every finding counts again.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Adopt all that is found now: only what is new fails then."""
    if clear:
        attached = load(snapshot)
        amend(db, life.name(attached.account_id, attached.region), life.abandon)
        if as_json:
            document({"dropped": True, "adopted": 0})
        else:
            say("the baseline is dropped: every finding counts again")
        return CLEAN
    settings = Settings(window_days=window, tested=tested_by(record or ()))
    made, _ = compared(Asked(db, snapshot, settings, quiet=quiet), remember=True, adopt=True)
    if as_json:
        document({"dropped": False, "adopted": len(made.findings)})
    else:
        say(f"adopted {count(len(made.findings), 'finding')}: from now on only new or worse ones fail")
    return COULD_NOT_KNOW if made.incomplete or not made.services else CLEAN
