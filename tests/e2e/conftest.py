"""Fixtures of the whole release on the real node; what a release is stands in `release.py`."""

from collections.abc import Iterator

import pytest

from tests.cluster.node import RealNode
from tests.e2e.release import Release, installed, load_images


@pytest.fixture(scope="module")
def loaded_node(real_node: RealNode) -> RealNode:
    """The real node, with the images of this working tree."""
    load_images(real_node)
    return real_node


@pytest.fixture(scope="module")
def release(loaded_node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart, installed and ready."""
    with installed(loaded_node, tmp_path_factory.mktemp("mlflow")) as found:
        yield found
