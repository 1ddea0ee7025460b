"""Tasks small enough for a test that trains."""

# 160 spelled numbers to train on, a Transformer of one layer, and two batches of words in a step.
TRANSLATION = {
    "data": "sample",
    "task.sources.sample.train": 160,
    "task.sources.sample.valid": 12,
    "task.sources.sample.test": 10,
    "task.model.width": 8,
    "task.model.layers": 1,
    "task.model.heads": 2,
    "task.model.feedforward": 8,
    "task.max_tokens": 128,
    "task.batches": 2,
}
