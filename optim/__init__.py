"""Update rules, one file per paper, and learning-rate schedules.

This room imports torch and nothing else of this project. Optimizers that torch has are used from
torch, by `_target_` in `conf/optim/`.
"""

from optim.adabelief import AdaBelief
from optim.adabound import AdaBound
from optim.adamal import AdamAL
from optim.laprop import LaProp
from optim.lp_adam import LpAdaGrad, LpAdam
from optim.madam import LaMAdam, MAdam
from optim.observation import Observation
from optim.observer import Observer
from optim.padam import Padam
from optim.sign_sgdm import SignSGDM, Signum
from optim.yogi import Yogi

__all__ = [
    "AdaBelief",
    "AdaBound",
    "AdamAL",
    "LaMAdam",
    "LaProp",
    "LpAdaGrad",
    "LpAdam",
    "MAdam",
    "Observation",
    "Observer",
    "Padam",
    "SignSGDM",
    "Signum",
    "Yogi",
]
