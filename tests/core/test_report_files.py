"""The files that a sweep leaves behind: what is in them, and what is said where there is little to say."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from hypersweep.core.analysis import files as report_files
from hypersweep.core.analysis.files import Files, files, sampled
from hypersweep.core.trial import Trial
from tests.core.histories import history, make_sweep

ONE = [{"metric": "loss", "goal": "Minimize"}]
TWO = [*ONE, {"metric": "ms", "goal": "Maximize"}]
SVG = "{http://www.w3.org/2000/svg}"


def trials(count: int = 60) -> list[Trial]:
    return history(lambda p: 2 * (p["optimizer"] == "sgd") + p["lr"], count=count)


def made(known: list[Trial], **changes: object) -> Files:
    return files(make_sweep(**changes), known, title="a/b")


def texts_in(picture: str) -> str:
    return " ".join(element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text"))


def test_a_report_is_json_markdown_and_pictures() -> None:
    report = made(trials())
    assert set(report.texts) == {"report.json", "report.md", "history.svg", "importance.svg", "effects.svg"}
    found = json.loads(report.texts["report.json"])
    assert (found["sweep"], found["trials"], found["objectives"][0]["results"]) == ("a/b", 60, 60)
    for lesson in found["objectives"][0]["lessons"]:
        assert lesson in report.texts["report.md"]
        assert lesson in report.note
    assert "![effects](effects.svg)" in report.texts["report.md"]


def test_the_pictures_show_what_the_report_says() -> None:
    report = made(trials())
    history_of = list(ET.fromstring(report.texts["history.svg"]).iter(f"{SVG}circle"))
    assert len(history_of) == 60
    optimizer = next(p for p in json.loads(report.texts["report.json"])["objectives"][0]["parameters"] if p["certain"])
    assert optimizer["name"] == "optimizer"
    assert f"{optimizer['importance']:.0%}" in texts_in(report.texts["importance.svg"])
    assert "not told from chance" in texts_in(report.texts["importance.svg"])
    assert {"sgd", "adam", "rprop"} <= set(texts_in(report.texts["effects.svg"]).split())


def test_below_the_stated_evidence_the_report_says_what_is_missing() -> None:
    report = made(trials(7))
    assert set(report.texts) == {"report.json", "report.md", "history.svg"}
    assert "it takes 20 finite results of loss, and there are 7" in report.note


def test_a_sweep_without_any_trial_has_a_report() -> None:
    report = made([])
    assert set(report.texts) == {"report.json", "report.md"}
    assert "No trial yet." in report.texts["report.md"]


def test_each_objective_has_pictures_of_its_own() -> None:
    known = [replace(t, values=(t.value or 0.0, -2 * (t.value or 0.0))) for t in trials(30)]
    report = made(known, objectives=TWO)
    assert {"history-1.svg", "history-2.svg", "effects-1.svg", "effects-2.svg"} <= set(report.texts)
    assert "ms over 30 trials" in texts_in(report.texts["history-2.svg"])


def test_names_are_text_in_a_picture() -> None:
    """A metric may be named as it likes."""
    report = made(trials(5), objectives=[{"metric": 'a < "b" & c', "goal": "Minimize"}])
    assert 'a < "b" & c over 5 trials' in texts_in(report.texts["history.svg"])


def test_the_order_of_trials_changes_no_byte() -> None:
    assert made(trials()) == made(trials()[::-1])


@pytest.mark.parametrize("value", [1e300, -1e300, 0.0])
def test_extreme_values_can_be_drawn(value: float) -> None:
    known = [replace(t, value=value) if t.index == 3 else t for t in trials(25)]
    for name, text in made(known).texts.items():
        if name.endswith(".svg"):
            assert "nan" not in text
            ET.fromstring(text)


def test_of_too_many_trials_an_even_part_is_read_with_the_best_and_the_report_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_files, "MOST", 30)
    known = trials(100)
    best = min((t for t in known if t not in sampled(known)), key=lambda t: t.value or 0.0)
    best = replace(best, value=-5.0)
    known[best.index] = best
    report = files(make_sweep(), known, title="a/b", best=[best])
    found = json.loads(report.texts["report.json"])
    assert found["trials"] == 31
    assert found["objectives"][0]["best"][0]["trial"] == best.index
    assert "31 of the 100 trials were read" in report.texts["report.md"]
    indices = [t.index for t in sampled(known)]
    assert (indices[0], indices[-1], len(indices)) == (0, 99, 30)
