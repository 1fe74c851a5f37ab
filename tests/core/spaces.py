"""The spaces that tests share: they are part of what strategies of others are tested with, and live there."""

from hypersweep.testing.spaces import CONSTRAINTS, OPTIMIZER, SPACES, Json, every, parameters, space

__all__ = ["CONSTRAINTS", "OPTIMIZER", "SPACES", "Json", "every", "parameters", "space"]
