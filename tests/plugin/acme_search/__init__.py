"""A package that brings strategies of its own."""
