"""For `make site`: links to files of the repository, which are no pages, become their names. A browser has no clone."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\((\.\./[^)\s]*)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page that lead out of `docs/`."""
    place = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def named(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(place, found[3]))
        if target.startswith("docs/"):
            return found[0]
        return f"`{target}`" if found[2] in {posixpath.basename(target), target} else f"{found[2]} (`{target}`)"

    return _OUTSIDE.sub(named, markdown)
