"""Metrics are those that scikit-learn computes, or, where it has none, those that a hand computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs

from hypersweep_trainer.boxes import found_boxes, overlap
from hypersweep_trainer.losses import answerable, detection, focal, pinball, soft_dice
from hypersweep_trainer.metrics import Classification, Regression, Segmentation, auc, average_precision

DICE = np.random.default_rng(0)


def logits_and_truth(classes: int, *, samples: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers that are better than chance, some of them equal."""
    truth = DICE.integers(0, classes, samples)
    logits = DICE.normal(0, 1, (samples, classes)).round(1)
    logits[np.arange(samples), truth] += 1
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(truth)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classification_agrees_with_scikit_learn(classes: int) -> None:
    """In two batches, as validation gives them."""
    logits, truth = logits_and_truth(classes)
    scorer = Classification(classes)
    scorer.add(logits[:300], truth[:300])
    scorer.add(logits[300:], truth[300:])
    share, answer = logits.softmax(1), logits.argmax(1)
    expected = {
        "accuracy": theirs.accuracy_score(truth, answer),
        "balanced_accuracy": theirs.balanced_accuracy_score(truth, answer),
        "f1": theirs.f1_score(truth, answer, average="macro"),
        "auc": theirs.roc_auc_score(truth, share[:, 1] if classes == 2 else share, multi_class="ovr"),
    }
    scores = scorer.scores()
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert scorer.confusion().tolist() == theirs.confusion_matrix(truth, answer).tolist()


def test_a_class_that_is_not_there_is_left_out() -> None:
    """No division by zero, and no class that drags the mean down."""
    scorer = Classification(4)
    scorer.add(torch.eye(4)[[0, 1, 1, 0]] * 9, torch.tensor([0, 1, 1, 0]))
    scores = scorer.scores()
    assert (scores["balanced_accuracy"], scores["f1"], scores["auc"]) == (1, 1, 1)
    assert auc(torch.tensor([0.1, 0.2]), torch.tensor([True, True])) is None


def test_calibration_is_the_gap_between_sure_and_right() -> None:
    """Always 0.8 sure and right in one of two: 0.3 off."""
    scorer = Classification(2)
    logits = torch.tensor([[np.log(4), 0.0]] * 10, dtype=torch.float32)
    scorer.add(logits, torch.tensor([0, 1] * 5))
    assert scorer.scores()["calibration_error"] == pytest.approx(0.3, abs=1e-6)


def test_regression_agrees_with_scikit_learn_in_the_targets_own_units() -> None:
    """Standardised numbers come back as what they were."""
    truth = DICE.normal(100, 20, 200)
    answer = truth + DICE.normal(0, 5, 200)
    scorer = Regression(mean=100, std=20)
    scorer.add(torch.tensor((answer - 100) / 20)[:, None], torch.tensor((truth - 100) / 20))
    assert scorer.scores() == pytest.approx(
        {
            "rmse": theirs.root_mean_squared_error(truth, answer),
            "mae": theirs.mean_absolute_error(truth, answer),
            "r2": theirs.r2_score(truth, answer),
        }
    )


def test_masks_are_scored_like_flat_labels() -> None:
    """Dice is F1 over pixels, IoU is Jaccard's."""
    logits, truth = logits_and_truth(3, samples=600)
    scorer = Segmentation(3)
    scorer.add(logits.T.reshape(1, 3, 20, 30), truth.reshape(1, 20, 30))
    answer = logits.argmax(1)
    scores = scorer.scores()
    assert scores["dice"] == pytest.approx(theirs.f1_score(truth, answer, average="macro"))
    assert scores["iou"] == pytest.approx(theirs.jaccard_score(truth, answer, average="macro"))


def test_overlap_by_hand() -> None:
    """Two squares of 4 that share 1: 1 / 7; apart: 0."""
    one = torch.tensor([0.0, 0, 2, 2])
    assert overlap(one, torch.tensor([1.0, 1, 3, 3])).item() == pytest.approx(1 / 7)
    assert overlap(one, torch.tensor([5.0, 5, 6, 6])).item() == 0


def test_average_precision_by_hand() -> None:
    """A hit, a miss, a hit, of three boxes: precisions 1 and 2/3 at recalls 1/3 and 2/3; a double counts as a miss."""
    truth = [torch.tensor([[0.0, 0, 0, 4, 4], [0, 8, 8, 12, 12]]), torch.tensor([[0.0, 0, 0, 4, 4]])]
    found = [
        torch.tensor([[0, 0.9, 0, 0, 4, 4], [0, 0.8, 0, 0, 4, 4], [0, 0.7, 8, 8, 12, 12]]),
        torch.zeros(0, 6),
    ]
    assert average_precision(found, truth, kind=0, least=0.5) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(found, truth, kind=1, least=0.5) == 0


def test_a_detector_that_says_the_truth_finds_it() -> None:
    """Cells that answer for a box give back that box, once, and have almost no loss."""
    y = torch.full((1, 3, 5), -1.0)
    y[0, 0] = torch.tensor([1.0, 4, 8, 16, 20])
    kind, box, positive = answerable(y, 8, 8)
    assert positive.any()
    assert (kind[positive] == 1).all()
    middle = torch.stack(torch.meshgrid(torch.arange(8) * 4 + 2.0, torch.arange(8) * 4 + 2.0, indexing="xy"), -1)
    reach = torch.cat([middle - box[0, ..., :2], box[0, ..., 2:] - middle], -1) / 4
    output = torch.full((1, 7, 8, 8), -12.0)
    output[0, 1][positive[0]] = 12.0
    output[0, 3:] = torch.where(positive[0], torch.expm1(reach.clamp(min=0.01).permute(2, 0, 1)).log(), 0)
    (found,) = found_boxes(output)
    assert len(found) == 1
    np.testing.assert_allclose(found[0, 2:].numpy(), y[0, 0, 1:].numpy(), atol=1e-3)
    assert detection(output, y, gamma=2.0).item() < 1e-3


def test_losses_by_hand() -> None:
    """Focal with gamma 0 is cross-entropy; a quantile of one half is half the mean error; a perfect mask has no dice loss."""
    logits, truth = logits_and_truth(3)
    assert focal(logits, truth, gamma=0).item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, truth).item()
    )
    assert focal(logits, truth, gamma=2).item() < focal(logits, truth, gamma=1).item()
    assert pinball(torch.zeros(2), torch.tensor([1.0, -1]), quantile=0.5).item() == 0.5
    assert pinball(torch.zeros(2), torch.tensor([1.0, -1]), quantile=0.9).item() == pytest.approx(0.5)
    assert pinball(torch.zeros(1), torch.tensor([1.0]), quantile=0.9).item() == pytest.approx(0.9)
    mask = torch.tensor([[[0, 1], [1, 1]]])
    assert soft_dice(torch.nn.functional.one_hot(mask).movedim(-1, 1) * 30.0, mask).item() == pytest.approx(0, abs=1e-6)
