"""Measurements that anyone can repeat: ratios and distributions, never a timed test."""
