"""Sweeps as the ledger holds them, for whoever only reads: found by name or experiment, with spec and trials.

Makes nothing, changes nothing, and needs no owner: it works while the sweep runs. What cannot be read is left out and named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypersweep.core import lineage
from hypersweep.core.errors import HyperSweepError, SpecError
from hypersweep.core.range_test import is_range_test
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import Run, Store


class NoSuchSweep(HyperSweepError):  # noqa: N818
    """The ledger does not hold what was asked for."""


@dataclass(frozen=True, kw_only=True)
class Archived:
    """One sweep. `spec` is None where its run does not hold it."""

    name: str
    parent: Run
    spec: SweepSpec | None
    trials: tuple[Trial, ...]


async def archived(
    store: Store, experiments: Mapping[str, str], *, sweep: str = "", experiment: str = "", search: str = ""
) -> list[Archived]:
    """The sweeps of that name (in that experiment, of that search, where given), the newest last; with trials.

    `experiments`: ids by name. NoSuchSweep: there is none, and what there is instead.
    """
    if experiment and experiment not in experiments:
        raise NoSuchSweep(f'no experiment "{experiment}" in {store.uri}; there are {_listed(experiments)}')
    first = [experiment] if experiment else [sweep] if sweep in experiments else []
    rest = [] if experiment else [name for name in experiments if name not in first]
    wanted = {records.KIND: records.KIND_SWEEP} | ({records.SWEEP: sweep} if sweep else {})
    wanted |= {records.SEARCH: search} if search else {}
    parents: list[Run] = []
    for name in [*first, *rest]:
        parents += await store.search(experiment=experiments[name], tags=wanted)
        if parents and name in first:
            break
    parents = [p for p in parents if p.tags.get(records.ID) != records.SUPERSEDED]
    if not parents:
        raise NoSuchSweep(f"no sweep {_asked(sweep, experiment)} in {store.uri}")
    return [await _archived(store, parent) for parent in sorted(parents, key=lambda run: (run.started, run.id))]


async def _archived(store: Store, parent: Run) -> Archived:
    runs = await store.search(experiment=parent.experiment, tags={records.ID: parent.tags[records.ID]})
    found, _ = records.trials_of(runs)
    rivals: dict[int, list[tuple[Trial, Run]]] = {}
    for trial, run in found:
        if is_range_test(trial.index):
            continue
        rivals.setdefault(trial.index, []).append((trial, run))
    trials = [records.chosen(pairs, preferred=None, known=None)[0] for _, pairs in sorted(rivals.items())]
    return Archived(name=parent.tags[records.SWEEP], parent=parent, spec=_spec(parent), trials=tuple(trials))


def _spec(parent: Run) -> SweepSpec | None:
    for template in lineage.templates(parent.tags):  # they differ in how trials run, not in what is searched
        try:
            return lineage.recorded(parent.tags, template)
        except SpecError:
            continue
    return None


def running(trials: Sequence[Trial]) -> int:
    """How many have not ended."""
    return sum(not t.outcome.over for t in trials)


def _asked(sweep: str, experiment: str) -> str:
    named = f'"{sweep}"' if sweep else "at all"
    return f'{named} in experiment "{experiment}"' if experiment else named


def _listed(names: Mapping[str, str]) -> str:
    few = ", ".join(f'"{name}"' for name in sorted(names)[:10])
    return few + (f" and {len(names) - 10} more" if len(names) > 10 else "") if names else "none"
