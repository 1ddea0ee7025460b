"""Seeds derived from named axes, so that no two purposes share random numbers."""

import hashlib


def derive(seed: int, *axes: str | int) -> int:
    """A 63-bit seed for one purpose, for example `derive(seed, "data order", epoch)`.

    It depends on the run's seed and on the axes alone: two optimizers with one seed start from the
    same weights and see the same batches, and drawing more for one purpose changes no other.
    """
    text = "/".join(str(part) for part in (seed, *axes))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
