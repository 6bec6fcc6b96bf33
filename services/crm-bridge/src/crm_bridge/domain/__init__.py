"""Decisions of crm-bridge: pure functions of state, input and time."""
