"""Hashes of keys, and permutations by them: nothing collides, and nothing is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.keyed import number, permuted


@given(size=st.integers(1, 300), seed=st.integers())
def test_a_permutation_has_every_number_once(size: int, seed: int) -> None:
    """Any size, any key."""
    assert sorted(permuted(i, size=size, key=(seed,)) for i in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [10**12, 2**200])
def test_a_permutation_of_a_huge_range_is_a_few_hashes(size: int) -> None:
    """Nothing is held in memory, and neighbours do not stay neighbours."""
    found = [permuted(i, size=size, key=("k",)) for i in range(200)]
    assert len(set(found)) == 200
    assert all(0 <= n < size for n in found)
    assert max(found) > 0.9 * size
    assert found != sorted(found)


def test_keys_of_different_shape_do_not_collide() -> None:
    """A hash of ("a", 1) is not that of ("a1",), nor of ("a", "1")."""
    keys: list[tuple[int | str, ...]] = [("a", 1), ("a1",), ("a", "1"), ("a", 1, ""), (1, "a"), ("a\x1fi1",)]
    assert len({number(*key) for key in keys}) == len(keys)
