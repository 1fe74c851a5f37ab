"""The built-in torch trainer of HyperSweep.

Nothing is imported here: `settings` and `exits` serve where torch is not installed.
"""
