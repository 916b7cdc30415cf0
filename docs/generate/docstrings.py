"""The docstrings' own sections, such as `Arrays:` and `Source:`, and doctests, for a parser of Google's form."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_LINES = re.compile(r"^(Arrays|Parameters|Raises|Source): (?=\S)", re.MULTILINE)


class OwnForm(Extension):
    """Sections whose text begins on the line of their title become paragraphs that begin in bold; doctests code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            text = _LINES.sub(r"\n**\1:** ", obj.docstring.value)
            obj.docstring.value = _DOCTEST.sub(r"```pycon\n\g<0>\n```", text)
