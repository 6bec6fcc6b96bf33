"""Sites of a floor file, and the cover of a queue by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from plateau.floor.document import Fields, Place, Wrong, suggestion
from plateau.floor.draft import Draft, time_zone
from plateau.floor.hours import read_hours
from plateau.floor.model import Queue, Site
from plateau.floor.overflows import targets

MOST_COVERS: Final = 20
MOST_SITES: Final = 50
"""Of one cover."""


def read_site(draft: Draft, name: str, node: yaml.Node, path: str, directory: Path) -> None:
    draft.new_id("site", name, node, path)
    fields = draft.document.fields(node, path)
    site = Site(
        id=name,
        name=fields.text("name"),
        time_zone=fields.text("time_zone", check=time_zone),
        place=fields.place,
        places=fields.places,
    )
    draft.sites.append(site)
    fields.done()


def read_cover(queue: Fields) -> tuple[Mapping[str, Any], ...]:
    """The queue's `cover`, as the API takes it: `{sites: [lyon], hours: {week: …}}` and so on."""
    node = queue.node_of("cover")
    if node is None:
        return ()
    found = []
    for number, (item, path) in enumerate(queue.document.items(node, queue.path_of("cover"), MOST_COVERS)):
        fields = queue.document.fields(item, path)
        sites = fields.texts("sites", least=1, most=MOST_SITES)
        queue.places[f"cover.{number}"] = fields.place
        for place_number, (_, place) in enumerate(sites):
            queue.places[f"cover.{number}.sites.{place_number}"] = place
        hours = read_hours(fields)
        if fields.node_of("hours") is not None:
            queue.places[f"cover.{number}.hours"] = fields.places.get("hours", fields.place)
        fields.done()
        found.append({"sites": [site for site, _ in sites], "hours": hours})
    return tuple(found)


def sites_named(queue: Queue) -> Iterator[tuple[str, str]]:
    """(field as the API names it, site) of every site that the queue names."""
    for number, rule in enumerate(queue.overflows):
        for part in ("when", "to"):
            if "site_id" in rule[part]:
                yield f"overflows.{number}.{part}.site_id", rule[part]["site_id"]
    yield from targets("split", queue.split, "site", "site_id")
    for number, one in enumerate(queue.cover):
        for place, site in enumerate(one["sites"]):
            yield f"cover.{number}.sites.{place}", site


def wrong_sites(draft: Draft) -> Iterator[Wrong]:
    """Every site that an agent or queue names and that there is not."""
    known = {site.id for site in draft.sites}
    told: set[Place] = set()
    for agent in draft.agents:
        if agent.site_id is not None and agent.site_id not in known and agent.where("site") not in told:
            told.add(agent.where("site"))
            detail = f"there is no such site{suggestion(agent.site_id, known)}"
            yield Wrong(agent.where("site"), f"agent {agent.id}: site", detail, agent.site_id)
    for queue in draft.queues:
        for field, site in sites_named(queue):
            if site not in known:
                detail = f"there is no such site{suggestion(site, known)}"
                yield Wrong(queue.where_within(field), f"queue {queue.id}: {field}", detail, site)
