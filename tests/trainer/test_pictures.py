"""Pictures of samples: what is drawn is where it should be."""

from __future__ import annotations

import torch
from PIL import Image

from hypersweep_trainer import pictures
from hypersweep_trainer.data import Data
from hypersweep_trainer.judged import judged, matched


def test_a_sample_is_enlarged_in_whole_steps() -> None:
    """A bright pixel becomes a bright square; colours stay."""
    sample = torch.zeros(3, 8, 8)
    sample[0, 2, 5] = 1
    sample[0, :, 0] = 1
    shown = pictures.picture(sample)
    assert shown.size == (96, 96)
    assert shown.getpixel((5 * 12 + 6, 2 * 12 + 6)) == (255, 0, 0)
    assert shown.getpixel((5 * 12 + 6, 3 * 12 + 6)) == (0, 0, 0)


def test_a_mask_is_laid_over_what_it_covers() -> None:
    """Each class has a colour of its own; the background is left alone."""
    mask = torch.zeros(8, 8, dtype=torch.long)
    mask[0, 0], mask[7, 7] = 1, 2
    plain = Image.new("RGB", (96, 96), pictures.INK)
    shown = pictures.with_mask(plain, mask)
    assert shown.getpixel((50, 50)) == pictures.INK
    assert len({shown.getpixel(place) for place in ((3, 3), (93, 93), (50, 50))}) == 3


def test_a_box_is_drawn_around_its_thing() -> None:
    """In the sample's pixels, times the enlargement; one that is inside out is left out."""
    plain = Image.new("RGB", (96, 96))
    boxes = torch.tensor([[2.0, 3.0, 6.0, 7.0], [5.0, 5.0, 4.0, 4.0]])
    shown = pictures.with_boxes(plain, boxes, pictures.PAPER, scale=12)
    assert [shown.getpixel(place) for place in ((24, 50), (40, 36), (40, 50))] == [pictures.PAPER] * 2 + [(0, 0, 0)]


def test_a_caption_is_cut_to_fit() -> None:
    """A tile is as wide as its pictures, whatever is said."""
    plain = Image.new("RGB", (96, 96))
    assert pictures.tile([plain], "x" * 500, pictures.RIGHT).width == pictures.tile([plain], "x", pictures.RIGHT).width


def test_answers_are_judged_one_by_one() -> None:
    """Of classes by the largest share, of masks by their overlap."""
    x, nothing = torch.rand(2, 1, 8, 8), torch.zeros(0, dtype=torch.long)
    data = Data(x, nothing, "classification", ("cat", "dog"), nothing, nothing, nothing, (1, 8, 8))
    right, wrong = judged(data, x, torch.tensor([0, 0]), torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
    assert (right.right, right.caption) == (True, "cat (0.95)")
    assert (wrong.right, wrong.caption) == (False, "cat, not dog (0.95)")
    masks = torch.zeros(2, 8, 8, dtype=torch.long)
    masks[:, :4] = 1
    logits = torch.stack([torch.zeros(2, 8, 8), torch.full((2, 8, 8), -1.0)], dim=1)
    logits[0, 1, :4] = 1  # of the first image all of it is found, of the second nothing
    data = Data(x, nothing, "segmentation", ("background", "cat"), nothing, nothing, nothing, (1, 8, 8))
    assert [(one.right, one.quality) for one in judged(data, x, masks, logits)] == [(True, 1.0), (False, 0.0)]


def test_boxes_match_once() -> None:
    """By kind and half of the area; a second box on the same thing is one too many."""
    truth = torch.tensor([[0.0, 0, 0, 10, 10], [1.0, 20, 20, 30, 30]])
    found = torch.tensor([[0, 0.9, 1, 1, 10, 10], [0, 0.8, 0, 0, 10, 10], [0, 0.7, 20, 20, 30, 30]])
    assert matched(found, truth) == 1
    assert matched(torch.tensor([[1, 0.9, 20, 20, 30, 28.0]]), truth) == 1
    assert matched(found, truth[:0]) == 0
