"""Games as animated pictures."""

import io
from typing import Any

import numpy as np

from tasks.atari.games import SKIP

FRAMES_PER_SECOND = 60  # of the emulator
LONGEST = 120 * FRAMES_PER_SECOND // SKIP  # pictures: what comes after two minutes is left out


class Video:
    """The beginning of a game as an animated GIF, a picture for each action, at the game's pace."""

    def __init__(self):
        self._pictures: list[Any] = []

    def add(self, picture: np.ndarray) -> None:
        """Put a picture (height, width, 3), bytes in colour, behind the others."""
        from PIL import Image

        if len(self._pictures) < LONGEST:
            # With the 256 colours that a GIF can have; a game shows fewer.
            self._pictures.append(Image.fromarray(picture).quantize())

    def gif(self) -> bytes:
        first, *others = self._pictures
        # A GIF counts in hundredths of a second, so pictures take turns to last 6 or 7 of them.
        ends = np.arange(len(self._pictures) + 1) * SKIP * 100 // FRAMES_PER_SECOND
        file = io.BytesIO()
        durations = (np.diff(ends) * 10).tolist()
        first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
        return file.getvalue()
