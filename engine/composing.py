"""The configs of many runs, of which those that choose the same files are composed once.

Composing takes Hydra longer than a small run takes to be set up.
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

# What this process has composed for the launch that it works for, by the launch and the choices.
_composed: dict[tuple[str, tuple[str, ...]], DictConfig] = {}


class Loader(ConfigLoaderImpl):
    """Hydra's loader for one launch: a file that is edited meanwhile counts for the next one."""

    def __init__(self, search_path: ConfigSearchPath):
        super().__init__(search_path)
        # A launcher sends each worker a copy of the loader for each run.
        self.launch = uuid4().hex

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> DictConfig:
        """What Hydra's own gives for a run's overrides, all of it."""
        parsed = [read_override(override) for override in sweep_overrides]
        values = [override for override in parsed if self.sets_a_value(override)]
        choices = tuple(str(o.input_line) for o in parsed if not self.sets_a_value(o))
        if (self.launch, choices) not in _composed:
            for other in [key for key in _composed if key[0] != self.launch]:
                del _composed[other]
            composed = super().load_sweep_config(master_config, list(choices))
            _composed[self.launch, choices] = composed
        # Not by pickle: a worker has Hydra's own classes from the sweep, under names of its own.
        config = copy.deepcopy(_composed[self.launch, choices])
        self._apply_overrides_to_config(values, config)
        own = [override for override in parsed if not override.is_hydra_override()]
        job, form = config.hydra.job, config.hydra.job.config.override_dirname
        config.hydra.overrides.task = [override.input_line for override in own]
        job.override_dirname = get_overrides_dirname(
            own, kv_sep=form.kv_sep, item_sep=form.item_sep, exclude_keys=form.exclude_keys
        )
        return config

    def sets_a_value(self, override: Override) -> bool:
        """Whether it only changes a value of what is composed without it."""
        key = override.key_or_group
        plain = override.package is None and not override.is_hydra_override() and "/" not in key
        is_file = "." not in key and self.repository.group_exists(key)
        return is_change(override) and plain and not is_file
