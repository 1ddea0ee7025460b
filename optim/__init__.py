"""Update rules, one file per paper, and learning-rate schedules.

This room imports torch and nothing else of this project. Optimizers that torch has are used from
torch, by `_target_` in `conf/optim/`.
"""
