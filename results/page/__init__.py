"""The report as one HTML file that opens from disk: data, plotly.js, style and code all inside."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
# In this order: each uses what those before it define, and page.js starts the page.
_SCRIPTS = ("dom.js", "charts.js", "figures.js", "runs.js", "page.js")


def page(payload: dict[str, Any]) -> str:
    """The report of `payload` as HTML."""
    from plotly.offline import get_plotlyjs  # slow to import, and only the report needs it

    plotly = _script(get_plotlyjs())
    code = _script("\n".join(_read(name) for name in _SCRIPTS))
    fill = {
        "title": html.escape(str(payload.get("title") or "report")),
        "policy": _policy(plotly, code),
        "style": _read("style.css"),
        "payload": _json(payload),
        "plotly": plotly,
        "code": code,
    }
    # One pass, so that a placeholder's name inside the data stays what it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fill[match[1]], _read("template.html"))


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _script(source: str) -> str:
    """JavaScript that may stand between script tags, with the bytes that the browser will hash."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    return source.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _policy(*scripts: str) -> str:
    """A content policy under which only these scripts run and nothing is ever fetched.

    Plotly sets styles from code, and turns a plot into an image through data: and blob: addresses.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _json(payload: dict[str, Any]) -> str:
    """JSON that cannot close the tag it stands in. A number that is not finite becomes null."""
    text = json.dumps(_finite(payload), allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
