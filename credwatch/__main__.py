"""`python -m credwatch`: the command of this very interpreter, whatever the PATH says."""

from __future__ import annotations

import sys

from credwatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
