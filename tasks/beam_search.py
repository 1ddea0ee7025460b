"""Beam search: the translation that a model finds the likeliest."""

from typing import Any

import torch
from torch import Tensor

from tasks.parallel_text import END, PAD


def beam_search(
    model: Any, sources: Tensor, limits: Tensor, beam: int, length_penalty: float
) -> tuple[Tensor, Tensor]:
    """The best translation of each sentence, and its score.

    As in fairseq, a translation's score is the sum of its words' log-probabilities, END's with
    them, divided by (its words)**length_penalty. In each step, those that end among the `beam`
    likeliest continuations are done, and the `beam` likeliest others go on; a sentence is done
    when it has `beam` translations, or at its limit, where all end. No translation is empty.

    Args:
        model: `start(sources)` gives a state with `choose(rows)`, and `read(words, state)` the
            logits after words (rows, 1) and the next state.
        sources: sentences (sentences, steps), PAD behind them.
        limits: the most words of each translation, END not counted, (sentences,).
        beam: translations that are followed side by side.
        length_penalty: 0 prefers short ones, 1 compares means.

    Returns:
        Words (sentences, longest) with END and PAD behind them, and scores (sentences,).
    """
    sentences, device = len(sources), sources.device
    best = sources.new_full((sentences, int(limits.max()) + 1), PAD)
    best_scores = torch.full((sentences,), -torch.inf, device=device)
    found = torch.zeros(sentences, dtype=torch.long, device=device)
    open_ = torch.arange(sentences, device=device)  # the sentences that are not done
    words = sources.new_full((sentences, beam, 1), END)
    # All begin alike: one of them is enough.
    scores = torch.full((sentences, beam), -torch.inf, device=device)
    scores[:, 0] = 0
    state = model.start(sources).choose(open_.repeat_interleave(beam))
    for step in range(best.shape[1]):
        logits, state = model.read(words.flatten(0, 1)[:, -1:], state)
        chances = logits[:, -1].float().log_softmax(-1).unflatten(0, (-1, beam))
        allow(chances, step, limits[open_])
        values, places = (scores[:, :, None] + chances).flatten(1).topk(2 * beam)
        parents, following = places // chances.shape[2], places % chances.shape[2]
        longer = torch.cat([of_rows(words, parents), following[:, :, None]], 2)

        ended = (following == END) & values.isfinite()
        ended[:, beam:] = False
        means = (values / (step + 1) ** length_penalty).where(ended, -torch.inf)
        top, which = means.max(1)
        better = top > best_scores[open_]
        best_scores[open_[better]] = top[better]
        chosen = of_rows(longer, which[:, None])[better, 0, 1:]
        best[open_[better]] = torch.nn.functional.pad(
            chosen, (0, best.shape[1] - step - 1), value=PAD
        )

        found[open_] += ended.sum(1)
        going = (found[open_] < beam) & (step < limits[open_])
        if not going.any():
            break
        kept = values.where(following != END, -torch.inf)[going].topk(beam)
        scores = kept.values
        words = of_rows(longer[going], kept.indices)
        rows = parents[going].gather(1, kept.indices) + going.nonzero() * beam
        state = state.choose(rows.flatten())
        open_ = open_[going]
    return best, best_scores


def allow(chances: Tensor, step: int, limits: Tensor) -> None:
    """Make impossible what cannot follow: PAD, END at once, and all but END at a limit."""
    chances[:, :, PAD] = -torch.inf
    if step == 0:
        chances[:, :, END] = -torch.inf
    at_limit = (limits <= step)[:, None, None]
    is_end = torch.arange(chances.shape[2], device=chances.device) == END
    chances.masked_fill_(at_limit & ~is_end, -torch.inf)


def of_rows(words: Tensor, rows: Tensor) -> Tensor:
    """For each sentence, some of its translations: (sentences, n, steps)."""
    return words.gather(1, rows[:, :, None].expand(-1, -1, words.shape[2]))
