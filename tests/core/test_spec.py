"""The models by themselves: units, defaults, and what `hypersweep validate` says beside its verdicts."""

from pathlib import Path

import pytest

from hypersweep.cli.validate import crd, validate
from hypersweep.core import crd as definition
from hypersweep.core.admission import advice, check
from hypersweep.core.goyaml import documents
from hypersweep.core.manifest import parse
from hypersweep.core.spec import SweepSpec, seconds
from tests.corpus.cases import manifest


def spec(text: str) -> SweepSpec:
    """The spec of a case that is written like those of the corpus."""
    return parse(next(iter(documents(manifest("a", text)))).content)[1]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("1.5m", 90),
        ("250ms", 0.25),
        ("1d2h3m4s5ms", 93784.005),
        ("0s", 0),
        ("365d", 31_536_000),
    ],
)
def test_durations_are_seconds(duration: str, expected: float) -> None:
    """Every unit, and several of them; `m` is not mistaken for `ms`."""
    assert seconds(duration) == pytest.approx(expected)


def test_what_the_schema_defaults_the_models_default_alike() -> None:
    """The operator reads an object with the server's defaults, the laptop a file without: one spec."""
    bare = spec("")
    written = spec(
        "strategy: {name: Auto, seed: 0, settings: {}}\ninitialTrials: []\ntracking: {server: default}\n"
        "suspend: false\nretry: ''\n"
        "trials: {max: 20, parallel: 1, maxFailed: 5, attempts: 2}\nstopWhen: {targets: []}\n"
        "cleanup: {succeeded: 10m, failed: 24h, stopped: 10m}\n"
    )
    assert bare == written


def test_the_order_of_problems_is_that_of_the_rules_and_check_collects_all() -> None:
    """A name that collides, a condition in a circle and a Job of our fields: all are said."""
    found = check(
        {"name": "a"},
        spec(
            "parameters: [{name: a.b, type: Boolean}, {name: a_b, type: Boolean},"
            " {name: c, type: Boolean, when: [{parameter: c, values: ['true']}]}]\n"
            "job: {template: {spec: {backoffLimit: 6, template: {spec: {containers: [{image: x}]}}}}}\n"
        ),
    )
    assert [p.path for p in found] == [
        "spec.parameters[1].name",
        "spec.parameters[2].when",
        "spec.job.template.spec.backoffLimit",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parameters: [{name: lr, type: Float, min: 1e-6, max: 0.1}]", "lr ranges over 5 decades on a linear scale"),
        (
            "parameters: [{name: x, type: Float, min: 0, max: 1, step: 0.3}]\ntrials: {max: 4}",
            "1 is never tried: steps of 0.3 from 0 end at 0.9",
        ),
        ("parameters: [{name: b, type: Boolean}]", "found 20; the space has 2 points"),
        (
            "trials: {max: 1}\ninitialTrials: [{parameters: {lr: 0.01}}, {parameters: {lr: 0.02}}]",
            "fewer than the 2 initial trials",
        ),
        (
            "parameters: [{name: x, type: Float, min: 0, max: 1, points: 3}]\nstrategy: {name: Grid}",
            "found 20; the space has 3 points",
        ),
    ],
)
def test_what_is_probably_not_meant_is_said_as_advice(text: str, says: str) -> None:
    """Allowed, and worth a word before GPUs are spent."""
    written = spec(text)
    assert not check({}, written)
    (problem,) = advice(written)
    assert says in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "parameters: [{name: lr, type: Float, min: 1e-6, max: 0.1, scale: Log}]",
        "parameters: [{name: lr, type: Float, min: 1e-6, max: 0.1, scale: Linear}]",
        "parameters: [{name: x, type: Float, min: 0, max: 1, step: 0.1}]\ntrials: {max: 11}",
        "parameters: [{name: x, type: Float, min: -1, max: 1000000}]",
    ],
)
def test_no_advice_where_there_is_nothing_to_say(text: str) -> None:
    """A scale that was chosen, a step that fits, a range through zero."""
    assert advice(spec(text)) == []


def test_validate_warns_on_stderr_and_still_says_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0: advice and doubled keys are no refusal; the verdict says strategy, trials and the space."""
    path = tmp_path / "a.yaml"
    path.write_text(manifest("digits", "parameters: [{name: b, type: Boolean}]\ntrials: {max: 3, max: 4}"))
    assert validate([path]) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}:3: digits: valid: Auto, 4 trials, 1 parameter (2 points)\n"
    assert f"{path}:8: warning: spec.trials.max: found a second time" in err
    assert f"{path}:8: warning: spec.trials.max: found 4; the space has 2 points" in err


def test_validate_judges_every_sweep_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong sweep among several: all are judged, and the exit code says that one was refused."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"{manifest('one', '')}---\n{manifest('two', '')}")
    bad.write_text("a: [")
    assert validate([bad, good]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{bad}:1:5: ")
    assert [line.split(": ")[1:3] for line in lines[1:]] == [["one", "valid"], ["two", "valid"]]


def test_validate_refuses_a_file_without_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was judged, so nothing is valid."""
    path = tmp_path / "a.yaml"
    path.write_text("kind: ConfigMap\n")
    assert validate([path]) == 1
    assert capsys.readouterr().out == f"{path}: holds no HyperparameterSweep\n"


def test_the_definition_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`hypersweep crd | kubectl apply -f -` installs it."""
    assert crd() == 0
    assert capsys.readouterr().out == definition.text()
