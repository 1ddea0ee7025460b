"""BLEU by sacrebleu, in points: of words as Moses tokenises, and of text as people write it."""

from collections.abc import Sequence
from typing import Any


def tokenised_bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of lines of words with spaces between, as the papers print it."""
    # `force` takes back a warning that the text looks tokenised, which it is meant to be.
    return metric(tokenize="none", force=True).corpus_score(translations, [references]).score


def sacrebleu(
    translations: Sequence[str], plain: Sequence[str], language: str, lowercase: bool
) -> tuple[float, str]:
    """BLEU of the translations as people would write them, and its signature, which says how.

    Args:
        translations: lines of words as Moses tokenises.
        plain: the references, never tokenised.
        language: of both.
        lowercase: whether the translations are in lower case, so that case counts for nothing.
    """
    from sacremoses import MosesDetokenizer

    moses = MosesDetokenizer(language)
    detokenised = [moses.detokenize(line.split()) for line in translations]
    bleu = metric(lowercase=lowercase)
    score = bleu.corpus_score(detokenised, [plain]).score
    return score, str(bleu.get_signature())


def metric(**options: Any) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(**options)
