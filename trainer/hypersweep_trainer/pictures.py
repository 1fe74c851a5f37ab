"""Small pictures of samples, answers and counts: drawn with Pillow, which costs a process less than matplotlib does.

Owns what a picture looks like: enlarged pixels, a frame and a caption, masks laid over, boxes, sheets of tiles, a table
of counts. Knows nothing of models, settings or where pictures go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]

RIGHT: Colour = (42, 157, 143)
WRONG: Colour = (214, 64, 69)
INK: Colour = (27, 42, 65)
PAPER: Colour = (255, 255, 255)
# Of the classes of a mask, in their order; the background is not coloured. (Okabe and Ito: told apart by the colour-blind.)
PALETTE: Sequence[Colour] = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0))

SIDE = 96  # pixels that a tile has at least
GAP = 4
TEXT = 12


def picture(sample: Tensor) -> Image.Image:
    """A sample (channels, h, w) of any range as it looks, enlarged in whole steps; few odd pixels don't darken the rest."""
    values = sample.detach().float().cpu()
    values = values[:3] if len(values) >= 3 else values[:1].expand(3, -1, -1)
    low, high = values.flatten()[: 2**20].quantile(torch.tensor([0.03, 0.97]))
    shades = ((values - low) / (high - low).clamp(min=1e-9)).clamp(0, 1).mul(255).byte()
    small = Image.fromarray(shades.permute(1, 2, 0).contiguous().numpy())
    factor = zoom(sample)
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)


def zoom(sample: Tensor) -> int:
    """How many pixels of its picture are one of a sample (channels, h, w)."""
    return max(1, math.ceil(SIDE / min(sample.shape[-2:])))


def with_mask(image: Image.Image, mask: Tensor) -> Image.Image:
    """The picture with the classes of a mask (h, w) laid over it; class 0 is left as it is."""
    colours = torch.tensor([[0, 0, 0], *PALETTE], dtype=torch.uint8)
    classes = mask.cpu().long()
    shown = torch.where(classes > 0, (classes - 1) % len(PALETTE) + 1, 0)
    layer = Image.fromarray(colours[shown].numpy()).resize(image.size, Image.Resampling.NEAREST)
    where = Image.fromarray((classes > 0).byte().mul(140).numpy()).resize(image.size, Image.Resampling.NEAREST)
    return Image.composite(layer, image, where)


def with_boxes(
    image: Image.Image, boxes: Tensor, colour: Colour, *, scale: int, names: Sequence[str] = ()
) -> Image.Image:
    """The picture with boxes (n, 4), left, top, right, bottom in a sample's pixels, each with its name where there are some."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for number, box in enumerate((boxes * scale).tolist()):
        left, top, right, bottom = box
        if right > left and bottom > top:
            draw.rectangle((left, top, right, bottom), outline=colour, width=2)
            if names:
                draw.text((left + 3, top + 1), names[number], fill=colour, font=_font(TEXT - 2))
    return image


def tile(images: Sequence[Image.Image], caption: str, colour: Colour) -> Image.Image:
    """Pictures side by side in a frame, with a caption below, which is cut to fit."""
    width, height = sum(image.width for image in images) + GAP * (len(images) - 1), images[0].height
    made = Image.new("RGB", (width + 2 * GAP, height + 2 * GAP + TEXT + 4), colour)
    left = GAP
    for image in images:
        made.paste(image, (left, GAP))
        left += image.width + GAP
    draw, font = ImageDraw.Draw(made), _font(TEXT)
    while caption and draw.textlength(caption, font=font) > width:
        caption = caption[:-1]
    draw.text((GAP, height + GAP + 1), caption, fill=PAPER, font=font)
    return made


def sheet(tiles: Sequence[Image.Image], *, columns: int = 4) -> Image.Image:
    """Tiles of one size in rows."""
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    rows = math.ceil(len(tiles) / columns)
    made = Image.new("RGB", (min(columns, len(tiles)) * width + GAP, rows * height + GAP), PAPER)
    for number, one in enumerate(tiles):
        made.paste(one, (GAP + number % columns * width, GAP + number // columns * height))
    return made


def table(counts: Tensor, names: Sequence[str]) -> Image.Image:
    """Counts (truth, answer) as a table: the darker, the larger a part of its row; the diagonal is what was right."""
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    font = _font(TEXT)
    widest = max(
        [*(font.getlength(name) for name in names), *(font.getlength(str(n)) for n in counts.flatten().tolist())]
    )
    cell, head = min(140, max(34, int(widest) + 10)), 2 * TEXT + 14
    side = head + cell * len(names) + GAP
    made = Image.new("RGB", (max(side + cell, 220), side), PAPER)
    draw = ImageDraw.Draw(made)
    draw.text((GAP, GAP), "rows: truth, columns: answer", fill=INK, font=font)
    for row, name in enumerate(names):
        middle = head + cell * row + cell // 2
        draw.text((cell - GAP, middle), name[:20], fill=INK, font=font, anchor="rm")
        draw.text((cell + cell * row + cell // 2, head - TEXT), name[:20], fill=INK, font=font, anchor="mm")
        for column, share in enumerate(shares[row].tolist()):
            corner = (cell + cell * column, head + cell * row)
            shade = _mixed(PAPER, RIGHT if row == column else WRONG, share)
            draw.rectangle((*corner, corner[0] + cell - 2, corner[1] + cell - 2), fill=shade)
            ink = PAPER if share > 0.5 else INK
            draw.text((corner[0] + cell // 2, middle), str(int(counts[row, column])), fill=ink, font=font, anchor="mm")
    return made


def pixels(image: Image.Image) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """(h, w, 3), as event files take it."""
    return np.asarray(image.convert("RGB"))


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
