"""The packaged language identifier, without a network."""

import socket

import pytest

from realsyn_ops.kinds import LanguageIdentifier
from realsyn_ops.models.load import load_language_identifier
from realsyn_ops.plans import ClusterPlan

LIMIT = ClusterPlan.min_language_score


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return load_language_identifier()


@pytest.mark.parametrize(
    "text",
    [
        "A dog runs.",
        "A small owl.",
        "Two children at the beach",
        "Red barn, winter, Vermont",
        "THE OLD BRIDGE AT NIGHT",
        "A magpie is a long-tailed crow that utters a raucous call.",
        "Ficus carica, the common fig, on a wall",
        "In 1984 she won 3 of 5 races.",
    ],
)
def test_short_english_stays(identifier: LanguageIdentifier, text: str) -> None:
    [(_, score)] = identifier.identify([text], "en")
    assert score >= LIMIT


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Der kleine Vogel baut sein Nest in der Hecke."),
        ("fr", "Le petit oiseau construit son nid dans la haie."),
        ("es", "El pequeño pájaro construye su nido en el seto."),
        ("it", "Il piccolo uccello costruisce il nido nella siepe."),
        ("nl", "De kleine vogel bouwt zijn nest in de heg."),
        ("pl", "Mały ptak buduje gniazdo w żywopłocie."),
        ("ru", "Маленькая птица строит гнездо в кустах."),
        ("ja", "小さな鳥が生け垣に巣を作っています。"),
        ("ar", "الطائر الصغير يبني عشه في السياج."),
    ],
)
def test_another_language_is_named_and_is_not_english(identifier: LanguageIdentifier, language: str, text: str) -> None:
    assert identifier.identify([text], "en")[0] == (language, pytest.approx(0, abs=LIMIT))
    assert identifier.identify([text], language)[0][1] > 0.5


def test_answers_do_not_depend_on_company_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    fresh = load_language_identifier()
    texts = ["A dog runs.", "", "…", "Ein Hund rennt.", "x" * 5_000]
    together = fresh.identify(texts, "en")
    assert together == [fresh.identify([text], "en")[0] for text in texts]
    assert together[3][0] == "de"
    assert all(score == round(score, 4) for _, score in together)
