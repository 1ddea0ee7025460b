"""What this project needs of Hydra beyond what Hydra documents; nothing else imports it from there.

A new minor version of Hydra may move any of it, which is why pyproject.toml allows none.
"""

# A launcher asks for the callbacks of the app that it works for, and `hydra.main` alone makes them.
from hydra._internal.callbacks import Callbacks

# For one launch, runs that choose the same files are composed once (engine/composing.py).
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname

# Asked for the choices of a group, a loader first copies all configs that Hydra knows by itself.
from hydra._internal.config_repository import ConfigRepository

# `hydra.initialize_config_dir` takes one folder; ours are several, and change within a process.
from hydra._internal.hydra import Hydra

# `hydra.utils.get_object` logs what it cannot find, which is said in a sentence here; Hydra's flags
# are read before `hydra.main` is called, so that what is wrong with them is a sentence, too.
from hydra._internal.utils import _locate as locate
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery

# What is typed is read as Hydra reads it, and refused before Hydra would.
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    FloatRange,
    Override,
    OverrideType,
    RangeSweep,
)

# What `hydra.initialize_config_dir` does besides: it leaves the process as it was.
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from hydra.version import setbase

__all__ = [
    "Callbacks",
    "ChoiceSweep",
    "ConfigLoaderImpl",
    "ConfigRepository",
    "ConfigSearchPath",
    "FloatRange",
    "Hydra",
    "Override",
    "OverrideType",
    "OverridesParser",
    "RangeSweep",
    "SearchPathQuery",
    "create_config_search_path",
    "get_args_parser",
    "get_gh_backup",
    "get_overrides_dirname",
    "locate",
    "restore_gh_from_backup",
    "setbase",
]
