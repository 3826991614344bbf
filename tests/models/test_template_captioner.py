"""Grammar of captions made of tags."""

import pytest

from realsyn_ops.models.template_captioner import TemplateCaptioner


@pytest.mark.parametrize(
    ("tags", "caption"),
    [
        ([], "a picture"),
        (["golden retriever"], "a photo of a golden retriever"),
        (["airliner"], "a photo of an airliner"),
        (["Appenzeller"], "a photo of an Appenzeller"),
        (["hourglass"], "a photo of an hourglass"),
        (["unicycle"], "a photo of a unicycle"),
        (["umbrella"], "a photo of an umbrella"),
        (["European fire salamander"], "a photo of a European fire salamander"),
        (["sunglasses"], "a photo of sunglasses"),
        (["bassinet"], "a photo of a bassinet"),
        (["bus"], "a photo of a bus"),
        (["albatross"], "a photo of an albatross"),
        (["lens"], "a photo of a lens"),
        (["ice cream"], "a photo of ice cream"),
        (["web site", "menu"], "a picture that may show a web site or a menu"),
        (["ox", "ram", "bison"], "a picture that may show an ox or a ram"),
    ],
)
def test_a_caption_has_the_right_article_and_says_its_doubt(tags: list[str], caption: str) -> None:
    assert TemplateCaptioner().caption([], [tags]) == [caption]
