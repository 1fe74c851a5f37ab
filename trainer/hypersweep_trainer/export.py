"""A finished model in forms that need no trainer: torch.export, ONNX, and ONNX in eight bits; each compared with the original.

Owns the forms, and the measurement that every one of them gets on the validation part: how far its output is from the
original's, what it scores, how long it takes. Inputs are those that the network takes: scaled like the training's. TorchScript
is not among the forms, since torch has deprecated it for torch.export.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn

from hypersweep_trainer.data import Data
from hypersweep_trainer.metrics import make_scorer

CALIBRATION = 256  # samples of the training part that show the eight-bit model its ranges
AT_ONCE = 64  # samples per batch, where no single one is meant
REPEATS = 25  # of which the median is the latency
TOLERANCE = 1e-3  # that a form in full precision may deviate, as a part of the original output's largest number

EIGHT_BITS = "onnx int8"

Network = Callable[[Tensor], Tensor]


class Finished(NamedTuple):
    """A trained network on the CPU, and the data that it was trained and validated on."""

    model: nn.Module
    data: Data
    threads: int


@dataclass(frozen=True)
class Form:
    """One file, or the original (""), and what was measured of it on the validation part."""

    name: str
    file: str
    kilobytes: float
    largest: float  # number of its output, whatever the sign
    deviation: float  # largest difference from the original's output
    scores: Mapping[str, float]
    milliseconds_1: float  # for one sample
    milliseconds_64: float  # for a batch of 64

    @property
    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def export(finished: Finished, folder: Path) -> Iterator[Form]:
    """Write each form into `folder`, and measure it; the original first."""
    model, data = finished.model.eval(), finished.data
    part = data.val[:AT_ONCE]
    yield _measured("original", None, model, finished)
    program = torch.export.export(model, (data.batch(part)[0],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, folder / "model.pt2")
    yield _measured("torch.export", folder / "model.pt2", torch.export.load(folder / "model.pt2").module(), finished)
    onnx = folder / "model.onnx"
    _write_onnx(program, onnx)
    yield _measured("onnx", onnx, _session(onnx, finished), finished)
    small = folder / "model.int8.onnx"
    _quantise(onnx, small, data)
    yield _measured(EIGHT_BITS, small, _session(small, finished), finished)


def far(form: Form, original: Form) -> bool:
    """Whether a form in full precision is another model than the original."""
    return form.name != EIGHT_BITS and not form.deviation <= TOLERANCE * max(1.0, original.largest)


def _write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that no model here needs
    torch.onnx.export(
        program, (), path, dynamo=True, input_names=["x"], output_names=["y"], external_data=False, verbose=False
    )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches of the training part, one by one."""

    def __init__(self, data: Data) -> None:
        self.batches = iter(torch.split(data.train[:CALIBRATION], AT_ONCE))
        self.data = data

    def get_next(self) -> dict[str, Any] | None:
        """What the network is fed next; None: that was all."""
        samples = next(self.batches, None)
        return None if samples is None else {"x": self.data.batch(samples)[0].numpy()}


def _quantise(path: Path, small: Path, data: Data) -> None:
    logging.getLogger().setLevel(logging.ERROR)  # it advises, on the root logger, what the exporter has done already
    try:
        quantize_static(
            path,
            small,
            _Calibration(data),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().setLevel(logging.WARNING)


def _session(path: Path, finished: Finished) -> Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = finished.threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


@torch.no_grad()
def _measured(name: str, path: Path | None, network: Network, finished: Finished) -> Form:
    model, data = finished.model, finished.data
    scorer, deviation, largest = make_scorer(data), 0.0, 0.0
    for samples in torch.split(data.val, AT_ONCE):
        x, y = data.batch(samples)
        output = network(x)
        deviation = max(deviation, float((output - model(x)).abs().max()))
        largest = max(largest, float(output.abs().max()))
        scorer.add(output, y)
    one, many = (data.batch(data.val[:count])[0] for count in (1, AT_ONCE))
    return Form(
        name=name,
        file=path.name if path else "",
        kilobytes=(path.stat().st_size if path else _bytes(model)) / 1024,
        largest=largest,
        deviation=deviation,
        scores=scorer.scores(),
        milliseconds_1=_latency(network, one),
        milliseconds_64=_latency(network, many),
    )


def _bytes(model: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.state_dict().values())


def _latency(network: Network, x: Tensor) -> float:
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        network(x)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


def table(forms: Sequence[Form]) -> str:
    """The measurements as text, one form a line."""
    metric = next(iter(forms[0].scores))
    lines = [f"{'':14}{'KiB':>9}{'largest':>10}{'deviation':>11}{metric:>14}{'ms (1)':>9}{'ms (64)':>9}"]
    for form in forms:
        score = form.scores.get(metric, np.nan)
        size = f"{form.kilobytes:9.1f}{form.largest:10.3g}{form.deviation:11.2g}"
        lines.append(f"{form.name:14}{size}{score:14.4f}{form.milliseconds_1:9.3f}{form.milliseconds_64:9.3f}")
    return "\n".join(lines)
