"""The function that Hydra calls for each run, in this process or in a launcher's worker."""

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from engine import interrupt
from engine.config import CONFIG_DIR_PROVIDER, resolved
from engine.console import log_to_console
from engine.execute import execute
from engine.launch import LOCAL_LAUNCHERS
from engine.process import begin
from engine.run import Run
from engine.torchrun import by_torchrun


def job(cfg: DictConfig) -> str:
    """Carry out a run; return its status as `execute` does."""
    if not interrupt.in_sweep_process():
        begin()
    with interrupt.in_run():
        return carry_out(cfg)


def carry_out(cfg: DictConfig) -> str:
    log_to_console()
    hydra_config = HydraConfig.get()
    config = resolved(cfg, hydra_config.runtime.choices)
    run = Run(config["paths"]["runs"], config)
    launcher = hydra_config.runtime.choices["hydra/launcher"]
    multirun = hydra_config.mode == RunMode.MULTIRUN
    share_devices = multirun and launcher in LOCAL_LAUNCHERS
    if multirun and config["sweep"]["devices_per_run"] > 1:
        sources = hydra_config.runtime.config_sources
        folders = [source.path for source in sources if source.provider == CONFIG_DIR_PROVIDER]
        arguments = [*hydra_config.overrides.task, *(f"--config-dir={path}" for path in folders)]
        return by_torchrun(run, arguments, share_devices=share_devices)
    return execute(run, share_devices=share_devices)
