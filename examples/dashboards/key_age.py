"""Tells the age of users' access keys as Prometheus text, beside `report --format prometheus`. Needs Python alone.

python key_age.py account.json > /var/lib/node_exporter/textfile/credwatch_keys.prom
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

METRIC = "credwatch_access_key_age_seconds"


def main(arguments: list[str]) -> int:
    """Print the ages of a snapshot's active keys; return 2 where it cannot be read."""
    try:
        (name,) = arguments
        text = render(json.loads(Path(name).read_text(encoding="utf-8")))
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"key_age.py SNAPSHOT.json: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(text)
    return 0


def render(snapshot: Mapping[str, Any]) -> str:
    """Return a gauge, in seconds at the time of the snapshot, for each active key of a user."""
    lines = [f"# HELP {METRIC} age of an active access key when the account was read", f"# TYPE {METRIC} gauge"]
    for key in snapshot["access_keys"]:
        if key["status"] == "Active" and key["created"]:
            created = datetime.fromisoformat(key["created"].replace("Z", "+00:00")).timestamp()
            age = snapshot["taken_ns"] / 10**9 - created
            lines.append(f'{METRIC}{{user="{key["user_arn"]}",key="{key["pseudonym"]}"}} {age:.0f}')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
