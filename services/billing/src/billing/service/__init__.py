"""Billing's use cases: load, decide, save, tell."""
