"""Strategies of others: a package that is really installed, found by its entry points, named by a sweep."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypersweep.core import strategies
from hypersweep.core.errors import StrategyError
from hypersweep.core.strategies import catalog
from hypersweep.testing.builders import sweep
from hypersweep.testing.strategies import StrategySuite

PACKAGE = Path(__file__).parents[1] / "plugin"


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("site"))
    uv = Path(sys.executable).with_name("uv")
    target = ["--python", sys.executable, "--target", folder]
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-cache", *target]
    subprocess.run([uv, "pip", "install", *flags, str(PACKAGE)], check=True)
    sys.path.append(folder)
    importlib.invalidate_caches()
    yield
    sys.path.remove(folder)
    catalog.installed.cache_clear()


@pytest.mark.parametrize("name", ["acme-search/Greedy"])
class TestGreedy(StrategySuite):
    """A strategy that somebody wrote passes the same suite as ours."""


def test_it_is_admitted_and_told_by_its_whole_name() -> None:
    """Nothing else need know that it exists."""
    spec = sweep("acme-search/Greedy", "mixed")
    assert strategies.problems(spec) == []
    assert strategies.effective(spec)[0] == "acme-search/Greedy"


def test_its_settings_are_typed_by_itself() -> None:
    """A setting that it does not have is refused, as one of ours would be."""
    spec = sweep("acme-search/Greedy", "mixed", settings={"patiense": 3})
    assert [str(p) for p in strategies.problems(spec)] == [
        "spec.strategy.settings.patiense: no such setting; did you mean `patience`?"
    ]


def test_what_it_cannot_search_is_told_beforehand() -> None:
    """By its own words, with the place in the manifest."""
    spec = sweep("acme-search/Greedy", [{"name": "secret", "type": "Boolean"}])
    assert [str(p) for p in strategies.problems(spec)] == ["spec.parameters[0]: Greedy searches no secrets"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acme-search/Greed", "not installed beside this process; did you mean `acme-search/Greedy`?"),
        ("acme-search/Gone", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused(name: str, said: str) -> None:
    """At its place, and before any trial."""
    (problem,) = strategies.problems(sweep(name, "mixed"))
    assert problem.path == "spec.strategy.name"
    assert said in problem.message


@pytest.mark.parametrize(("trial", "said"), [(0, "no such parameter"), (13, "failed: RuntimeError: no luck")])
def test_a_bad_answer_never_becomes_a_trial(trial: int, said: str) -> None:
    """What others wrote may be wrong; the ledger is not to suffer for it."""
    with pytest.raises(StrategyError, match=said):
        strategies.suggest(sweep("acme-search/Broken", "mixed"), history=(), pending=(), trial=trial)
