"""Folders as they are typed: `paths.runs=` takes any name, which Hydra's grammar does not."""

import sys

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from results.study import spell


def quote_paths() -> None:
    """Put in quotes, on this process's command line, what Hydra would not read as it stands."""
    sys.argv[1:] = [quoted(typed) for typed in sys.argv[1:]]


def quoted(typed: str) -> str:
    """An override of a folder in quotes, unless Hydra reads it as one text or as none anyway."""
    key, _, path = typed.partition("=")
    if not key.startswith("paths.") or not path:
        return typed
    try:
        read = OverridesParser.create().parse_override(typed)
        if not read.is_sweep_override() and isinstance(read.value(), str | None):
            return typed
    except HydraException:
        pass
    return f"{key}={spell(path)}"
