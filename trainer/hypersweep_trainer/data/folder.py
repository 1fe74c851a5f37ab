"""A folder with one folder per class, full of images: read when they are needed, not before.

All are brought to the size of the first one and to its colours (grey or RGB). Pixels are standardised per channel by
up to 500 images of the training part. Pillow (it comes with mlflow's matplotlib) decodes outside Python's lock, so that
a few threads keep up with a training.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.data import Source
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
LOOKED_AT = 500  # images for mean and standard deviation


class Images:
    """Images (n, channels, h, w) by number, standardised, read from their files each time."""

    def __init__(self, paths: list[Path], *, mode: str, size: tuple[int, int], threads: int = 2) -> None:
        """Nothing is read yet. `size` is (width, height), as Pillow has it."""
        self.paths, self.mode, self.size = paths, mode, size
        self.mean: Tensor = torch.zeros(1)
        self.std: Tensor = torch.ones(1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="images")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, samples: Tensor) -> Tensor:
        pixels = torch.stack(list(self._pool.map(lambda i: self._read(self.paths[i]), samples.tolist())))
        return (pixels - self.mean) / self.std

    def standardise(self, train: Tensor) -> Images:
        """Scale by what some of these samples show, spread evenly."""
        some = train[:: max(1, len(train) // LOOKED_AT)]
        pixels = self[some]
        self.mean, self.std = pixels.mean((0, 2, 3))[:, None, None], pixels.std((0, 2, 3))[:, None, None]
        self.std[self.std == 0] = 1
        return self

    def _read(self, path: Path) -> Tensor:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as image:
                converted = image.convert(self.mode)
                array = np.asarray(converted if image.size == self.size else converted.resize(self.size), np.float32)
        except (OSError, UnidentifiedImageError) as error:
            raise BadInputError(f"data: {path} can't be read as an image: {error}") from None
        return torch.from_numpy(array / 255).view(self.size[1], self.size[0], -1).permute(2, 0, 1)


def load(settings: Settings) -> Source:
    """The images below the folder, in the order of their names."""
    root = Path(settings.data)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise BadInputError(f"data: found {len(folders)} folders in {root}, allowed: at least two, one per class")
    found = [sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS) for folder in folders]
    for folder, files in zip(folders, found, strict=True):
        if not files:
            raise BadInputError(f"data: found no image in {folder}, allowed: {' '.join(sorted(ENDINGS))}")
    paths = [path for files in found for path in files]
    y = torch.tensor([label for label, files in enumerate(found) for _ in files])
    images = Images(paths, **_like(paths[0]))  # type: ignore[arg-type]
    return Source(y, "classification", tuple(folder.name for folder in folders), images.standardise)


def _like(path: Path) -> dict[str, object]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return {"size": image.size, "mode": "L" if image.mode in ("1", "L", "I", "I;16", "F") else "RGB"}
    except (OSError, UnidentifiedImageError) as error:
        raise BadInputError(f"data: {path} can't be read as an image: {error}") from None
