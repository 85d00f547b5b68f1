"""Chaos: servers of its own, faults done to them, and a check of what became of every command."""
