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
        model: `start(sources)` gives a state with `choose(indices)`, and `read(words, state)` the
            logits after words (batch, 1) and the next state.
        sources: sentences (sentences, steps), PAD behind them.
        limits: the most words of each translation, END not counted, (sentences,).
        beam: hypotheses, the beginnings of translations, that are followed side by side.
        length_penalty: 0 prefers short ones, 1 compares means.

    Returns:
        Words (sentences, longest) with END and PAD behind them, and scores (sentences,).
    """
    sentences, device = len(sources), sources.device
    best = sources.new_full((sentences, int(limits.max()) + 1), PAD)
    best_scores = torch.full((sentences,), -torch.inf, device=device)
    finished = torch.zeros(sentences, dtype=torch.long, device=device)  # translations of each
    searched = torch.arange(sentences, device=device)  # the sentences that are not done
    hypotheses = sources.new_full((sentences, beam, 1), END)
    # All begin alike: one of them is enough.
    scores = torch.full((sentences, beam), -torch.inf, device=device)
    scores[:, 0] = 0
    state = model.start(sources).choose(searched.repeat_interleave(beam))
    for step in range(best.shape[1]):
        logits, state = model.read(hypotheses.flatten(0, 1)[:, -1:], state)
        log_probs = logits[:, -1].float().log_softmax(-1).unflatten(0, (-1, beam))
        forbid(log_probs, step, limits[searched])
        sums, candidates = (scores[:, :, None] + log_probs).flatten(1).topk(2 * beam)
        parents, words = candidates // log_probs.shape[2], candidates % log_probs.shape[2]
        extended = torch.cat([select(hypotheses, parents), words[:, :, None]], 2)

        ends = (words == END) & sums.isfinite()
        ends[:, beam:] = False
        end_scores = (sums / (step + 1) ** length_penalty).where(ends, -torch.inf)
        top_scores, top = end_scores.max(1)
        improves = top_scores > best_scores[searched]
        best_scores[searched[improves]] = top_scores[improves]
        translations = select(extended, top[:, None])[improves, 0, 1:]
        best[searched[improves]] = torch.nn.functional.pad(
            translations, (0, best.shape[1] - step - 1), value=PAD
        )

        finished[searched] += ends.sum(1)
        goes_on = (finished[searched] < beam) & (step < limits[searched])
        if not goes_on.any():
            break
        kept = sums.where(words != END, -torch.inf)[goes_on].topk(beam)
        scores = kept.values
        hypotheses = select(extended[goes_on], kept.indices)
        indices = parents[goes_on].gather(1, kept.indices) + goes_on.nonzero() * beam
        state = state.choose(indices.flatten())
        searched = searched[goes_on]
    return best, best_scores


def forbid(log_probs: Tensor, step: int, limits: Tensor) -> None:
    """Make impossible what cannot follow: PAD, END at once, and all but END at a limit."""
    log_probs[:, :, PAD] = -torch.inf
    if step == 0:
        log_probs[:, :, END] = -torch.inf
    at_limit = (limits <= step)[:, None, None]
    is_end = torch.arange(log_probs.shape[2], device=log_probs.device) == END
    log_probs.masked_fill_(at_limit & ~is_end, -torch.inf)


def select(hypotheses: Tensor, indices: Tensor) -> Tensor:
    """For each sentence, some of its hypotheses: (sentences, n, steps)."""
    return hypotheses.gather(1, indices[:, :, None].expand(-1, -1, hypotheses.shape[2]))
