"""`python -m tests.soak agent|recorder [SIZE]`: a module each, with `main(size)`; exits with 1: memory is not flat."""

from __future__ import annotations

import sys

from tests.soak import agent, recorder

SOAKS = {"agent": agent.main, "recorder": recorder.main}


def main(arguments: list[str]) -> int:
    """Run one soak, at its full size unless told otherwise."""
    name, *size = arguments or ["agent"]
    if name not in SOAKS or not all(text.isdigit() for text in size):
        print(f"usage: python -m tests.soak {'|'.join(SOAKS)} [SIZE]", file=sys.stderr)
        return 2
    return SOAKS[name](*map(int, size))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
