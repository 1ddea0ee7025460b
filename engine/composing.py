"""The configs of many runs, composed once for all that choose the same files.

Hydra takes longer to compose a config than a small run takes to be set up.
"""

import copy
from collections.abc import Sequence
from uuid import uuid4

from omegaconf import DictConfig

from engine.hydra_internals import (
    ConfigLoaderImpl,
    ConfigSearchPath,
    Override,
    get_overrides_dirname,
)
from engine.overrides import is_change, read_override

# Configs that this process has composed for its current launch, by the launch and the choices.
_composed: dict[tuple[str, tuple[str, ...]], DictConfig] = {}


class Loader(ConfigLoaderImpl):
    """Hydra's loader for one launch: files edited meanwhile are read again for the next one."""

    def __init__(self, search_path: ConfigSearchPath):
        super().__init__(search_path)
        # A launcher sends each worker a copy of the loader for each run.
        self.launch = uuid4().hex

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> DictConfig:
        """The same config for a run's overrides as Hydra's own loader gives."""
        parsed = [read_override(override) for override in sweep_overrides]
        value_overrides = [override for override in parsed if self.sets_a_value(override)]
        choices = tuple(str(o.input_line) for o in parsed if not self.sets_a_value(o))
        if (self.launch, choices) not in _composed:
            for stale in [key for key in _composed if key[0] != self.launch]:
                del _composed[stale]
            composed = super().load_sweep_config(master_config, list(choices))
            _composed[self.launch, choices] = composed
        # Not by pickle: Hydra's classes, which a worker was sent by the sweep, have other names.
        config = copy.deepcopy(_composed[self.launch, choices])
        self._apply_overrides_to_config(value_overrides, config)
        run_overrides = [override for override in parsed if not override.is_hydra_override()]
        settings = config.hydra.job.config.override_dirname
        config.hydra.overrides.task = [override.input_line for override in run_overrides]
        config.hydra.job.override_dirname = get_overrides_dirname(
            run_overrides,
            kv_sep=settings.kv_sep,
            item_sep=settings.item_sep,
            exclude_keys=settings.exclude_keys,
        )
        return config

    def sets_a_value(self, override: Override) -> bool:
        """Whether it only changes a value, and does not choose which files are composed."""
        key = override.key_or_group
        is_plain = override.package is None and not override.is_hydra_override() and "/" not in key
        is_file = "." not in key and self.repository.group_exists(key)
        return is_change(override) and is_plain and not is_file
