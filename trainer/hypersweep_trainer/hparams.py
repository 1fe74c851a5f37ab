"""What TensorBoard's HParams tab has of one trial: its settings, and which of them and of the results come first.

Owns three messages of an event file. TensorBoard reads all trials' settings, but takes the columns from the first trial
that names them: so each names all settings, those that the sweep searches first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from hypersweep_trainer.settings import spelled


class Messages(NamedTuple):
    """Event file summaries: which columns there are, what this trial is, and that it came to its end."""

    columns: Any
    start: Any
    success: Any


def messages(settings: Mapping[str, Any], *, searched: Collection[str], results: Sequence[str]) -> Messages:
    """For these `settings`; `searched` are shown first, `results` are tags of scalars, the most important first."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from torch.utils.tensorboard.summary import hparams

    shown = {name: spelled(value) if isinstance(value, bool) else value for name, value in settings.items()}
    columns, start, success = hparams(shown, dict.fromkeys(results, 0))  # type: ignore[no-untyped-call]
    plugin = columns.value[0].metadata.plugin_data
    said = HParamsPluginData.FromString(plugin.content)
    for info in said.experiment.hparam_infos:
        info.differs = info.name in searched  # TensorBoard sorts by this, and torch has no word for it
    plugin.content = said.SerializeToString()
    return Messages(columns, start, success)
