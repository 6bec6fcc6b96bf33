"""Shares of tenants in a pool's agents in a floor file: under a pool, by tenant, written as the API takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from routing.domain.shares import Positions, faults

from plateau.client import Client
from plateau.floor.document import Fields, Wrong, suggestion
from plateau.floor.draft import DAY_SECONDS, Draft
from plateau.floor.hours import read_hours
from plateau.floor.model import Share

_MOST_POSITIONS: Final = 100_000
_DEFAULTS: Final[Mapping[str, Any]] = {
    "reserved_positions": 0,
    "guaranteed_positions": 0,
    "most_positions": None,
    "release_after_seconds": None,
    "burst": None,
    "hours": None,
}


def read_shares(draft: Draft, pool_id: str, pool: Fields) -> None:
    """The pool's `shares`: `{boats: {reserved_positions: 2, burst: {reserved_positions: 6}}}` and so on."""
    node = pool.node_of("shares")
    if node is None:
        return
    for tenant_id, inner, path in draft.document.fields(node, pool.path_of("shares")).entries():
        fields = draft.document.fields(inner, path)
        body: dict[str, Any] = _positions(fields)
        body["release_after_seconds"] = fields.optional_number("release_after_seconds", low=0, high=DAY_SECONDS)
        body["burst"] = _burst(draft, fields)
        fields.done()
        share = Share(
            id=f"{pool_id}/{tenant_id}",
            pool_id=pool_id,
            tenant_id=tenant_id,
            body=body,
            place=fields.place,
            places=fields.places,
        )
        draft.shares.append(share)


def _burst(draft: Draft, share: Fields) -> dict[str, Any] | None:
    node = share.node_of("burst")
    if node is None:
        return None
    fields = draft.document.fields(node, share.path_of("burst"))
    body = {**_positions(fields), "hours": read_hours(fields)}
    for name, place in fields.places.items():
        share.places[f"burst.{name}"] = place
    fields.done()
    return body


def _positions(fields: Fields) -> dict[str, int | None]:
    body = _positions_of(
        {
            "reserved_positions": fields.integer("reserved_positions", 0, low=0, high=_MOST_POSITIONS),
            "guaranteed_positions": fields.integer("guaranteed_positions", 0, low=0, high=_MOST_POSITIONS),
        }
    )
    if fields.node_of("most_positions") is not None:
        body["most_positions"] = fields.integer("most_positions", _MOST_POSITIONS, low=0, high=_MOST_POSITIONS)
    return body


def _positions_of(said: Mapping[str, Any]) -> dict[str, Any]:
    names = ("reserved_positions", "guaranteed_positions", "most_positions")
    return {name: said.get(name, _DEFAULTS[name]) for name in names}


def wrong_shares(draft: Draft) -> Iterator[Wrong]:
    """Shares of tenants that the file does not have, and what routing's own rules refuse of their figures."""
    tenants = [tenant.id for tenant in draft.tenants]
    for share in draft.shares:
        path = f"pools.{share.pool_id}.shares.{share.tenant_id}"
        if share.tenant_id not in tenants:
            yield Wrong(
                share.place, path, f"there is no such tenant{suggestion(share.tenant_id, tenants)}", share.tenant_id
            )
        burst = share.body["burst"]
        for field, reason in faults(_figures(share.body), None if burst is None else _figures(burst)):
            yield Wrong(share.where(field), f"{path}.{field}", reason)


def _figures(body: Mapping[str, Any]) -> Positions:
    return Positions(**{name: body[name] for name in _positions_of({})})


def share_path(share_id: str) -> str:
    """Where the API has a share; its id is its pool's and its tenant's."""
    pool_id, _, tenant_id = share_id.partition("/")
    return f"/v1/pools/{pool_id}/shares/{tenant_id}"


async def listed_shares(client: Client) -> dict[str, dict[str, Any]]:
    """Every share of the running floor, by id."""
    pools = [str(pool["id"]) async for pool in client.pages("routing", "/v1/pools")]
    return {
        f"{pool_id}/{share['tenant_id']}": share
        for pool_id in pools
        async for share in client.pages("routing", f"/v1/pools/{pool_id}/shares")
    }


def share_as_written(share: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is not the default."""
    said = {name: share[name] for name, default in _DEFAULTS.items() if name in share and share[name] != default}
    if "burst" in said:
        said["burst"] = share_as_written(said["burst"])
    return said
