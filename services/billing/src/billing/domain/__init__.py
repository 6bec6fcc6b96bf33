"""Billing's decisions: pure functions of cases, tariffs and a month. No I/O, no clock."""
