import io
from typing import Any

import pytest
from report_example import example_report, map_texts
from rich.console import Console
from rich.text import Text

from realsyn_ops.report.render_text import render_text


def text_of(report: dict[str, Any], *, is_terminal: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    colours = "truecolor" if is_terminal else "auto"
    render_text(report, console=Console(file=out, force_terminal=is_terminal, width=width, color_system=colours))
    return out.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ["RealSyn", "release", "2025-02-19-ab12cd34"],
        ["pairs", "312"],
        ["path", "/data/releases/2025-02-19-ab12cd34"],
        ["quality", "1,240", "1,011", "229", "−18.5%", "−15.2%"],
        ["quality", "18,322", "13,870", "4,452", "−24.3%", "−14.6%"],
        ["extract", "18,322", "18,322", "0", "0.0%", "–"],
        ["images", "quality", "image", "too", "small", "200", "shorter", "side", "below", "the", "limit"],
        ["documents", "extract", "empty", "document", "6", "neither", "text", "nor", "image", "in", "it"],
        ["images.example", "900", "720", "80.0%", "81", "MB", "fetch", "not", "found", "150,", "fetch", "robots", "30"],
        ["curate_images", "embed", "8", "1", "min", "30", "s", "45.0", "s", "1.45", "GB"],
        ["passed", "images", "2025-02-18", "9"],
        ["FAILED", "pairs", "2025-02-18", "9", "unique", "key:", "2", "of", "440"],
        ["similarity", "bounds", "0.113", "to", "0.403"],
        ["largest", "cluster", "before", "61"],
        ["fallback:", "ungrounded", "231"],
        ["llama@8cde5ca", "500", "16.0%", "220", "14", "2,000,000", "8", "min", "20", "s", "10", "MB"],
        ["llama@8cde5ca", "ungrounded", "name", "220"],
        ["encoder", "lite0", "with", "minilm"],
        ["imbalance", "1.7"],
        ["recall", "at", "3", "0.82"],
    ],
)
def test_a_plain_report_has_the_numbers_one_row_a_line(words: list[str]) -> None:
    assert words in [line.split() for line in text_of(example_report()).splitlines()]


def test_a_plain_report_is_never_folded_coloured_or_padded() -> None:
    report = example_report()
    report["release"]["path"] = "/" + "long/" * 60
    report["gates"][1]["failures"] = ["x" * 300]
    lines = text_of(report).splitlines()
    assert "path    " + report["release"]["path"] in lines
    assert any(line.endswith("x" * 300) for line in lines)
    assert not any("\x1b" in line or line != line.rstrip() for line in lines)


def test_a_terminal_gets_colour_and_tables_that_fit_it_with_nothing_cut() -> None:
    shown = text_of(example_report(), is_terminal=True, width=60)
    lines = [Text.from_ansi(line) for line in shown.splitlines()]
    assert "\x1b[" in shown
    assert max(line.cell_len for line in lines) <= 60
    assert ["quality", "1,240", "1,011", "229", "−18.5%", "−15.2%"] in [line.plain.split() for line in lines]
    assert "…" not in shown


@pytest.mark.parametrize("is_terminal", [False, True])
def test_markup_and_control_sequences_in_texts_are_shown_not_obeyed(is_terminal: bool) -> None:
    hostile = "[bold]b[/x] :smile: \x1b]0;title\x07"
    report = map_texts(example_report(), lambda text: text + hostile)
    shown = text_of(report, is_terminal=is_terminal, width=200)
    assert "[bold]b[/x] :smile:" in shown
    assert "\x1b]0" not in shown and "\x07" not in shown


def test_records_without_a_reason_are_named() -> None:
    report = example_report()
    report["funnel"]["images"][1]["rejects"]["image_aspect"] = 20
    assert ["images", "quality", "no", "reason", "9"] in [line.split() for line in text_of(report).splitlines()]
    assert "no reason" not in text_of(example_report())


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("part", [None, {}, []])
@pytest.mark.parametrize("name", sorted(example_report()))
def test_a_missing_or_empty_part_is_left_out(name: str, part: object, is_terminal: bool) -> None:
    report = example_report() | {name: part}
    assert "RealSyn release" in text_of(report, is_terminal=is_terminal)


def test_an_empty_report_says_there_is_no_release() -> None:
    assert text_of({}).split() == ["RealSyn", "release", "(none", "yet)", "pairs", "0"]
