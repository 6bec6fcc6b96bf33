"""What an operator may declare: checked as a whole before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import Conflict, Invalid


def check_skills(field: str, named: Iterable[str], declared: Iterable[str], pool_id: str) -> None:
    """Raises Invalid, naming each skill that the pool does not declare."""
    unknown = sorted(set(named) - set(declared))
    if unknown:
        listed = ", ".join(repr(skill) for skill in unknown)
        raise Invalid(
            f"pool {pool_id} declares no skill {listed}",
            field=field,
            errors=[{"field": field, "reason": f"unknown skill {skill!r}"} for skill in unknown],
        )


def check_unmoved(kind: str, item_id: str, field: str, before: str, after: str) -> None:
    """Raises Conflict: calls and agents in a queue's pool cannot change owner while they live."""
    if before != after:
        raise Conflict(f"{kind} {item_id} belongs to {field.removesuffix('_id')} {before}; it cannot move", field=field)
