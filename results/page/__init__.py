"""The report as one HTML file that opens from disk: data, plotly.js, style and code all inside.

Data and plotly.js are deflated and in base64, which the page undoes: a fifth of their size.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
# In this order: each uses what those before it define, and page.js starts the page.
_SCRIPTS = (
    "dom.js",
    "runs.js",
    "filter.js",
    "groups.js",
    "charts.js",
    "panel.js",
    "figures.js",
    "table.js",
    "study.js",
    "compare.js",
    "suite.js",
    "page.js",
)


def page(payload: dict[str, Any], curves: bytes = b"") -> str:
    """The report as HTML.

    Args:
        payload: all but the runs' curves.
        curves: of `payload["runs"]`, packed.
    """
    plotly, plotly_hash = _plotly()
    code = _script("\n".join(_read(name) for name in _SCRIPTS))
    fill = {
        "title": html.escape(str(payload.get("title") or "report")),
        "policy": _policy(_hash(code), plotly_hash),
        "style": _read("style.css"),
        "payload": _deflated(_json(payload)),
        "curves": _deflated(curves),
        "plotly": plotly,
        "code": code,
    }
    # One pass, so that a placeholder's name inside the data stays what it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fill[match[1]], _read("template.html"))


@cache
def _plotly() -> tuple[str, str]:
    """plotly.js as the page holds it, and its hash."""
    from plotly.offline import get_plotlyjs  # slow to import, and only the report needs it

    text = _script(get_plotlyjs())
    return _deflated(text.encode()), _hash(text)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _script(source: str) -> str:
    """JavaScript that may stand between script tags, with the bytes that the browser will hash."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    return source.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _policy(*hashes: str) -> str:
    """A content policy under which only these scripts run and nothing is ever fetched.

    Plotly sets styles from code, and turns a plot into an image through data: and blob: addresses.
    """
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _json(payload: dict[str, Any]) -> bytes:
    """A number that is not finite becomes null."""
    try:
        text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(payload), allow_nan=False, separators=(",", ":"))
    return text.encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
