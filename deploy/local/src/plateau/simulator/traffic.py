"""How busy a simulated day is and how its people behave: read from a YAML file, or guessed from the floor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from common.exact import exact
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from plateau.floor import Floor

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Shape = Literal["flat", "office", "round-the-clock"]


class _Frozen(BaseModel):
    """Numbers are taken as `common.exact` takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        exact(handler.resolve_ref_schema(schema))
        return schema


class _Loader(yaml.SafeLoader):
    """Reads as a number what is written as one: YAML 1.1 has `4_20` for 420, `12:30` for 750 and `010` for 8."""


_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), list("-0123456789"))


class Inbound(_Frozen):
    """Callers of one queue. All times are simulated seconds."""

    calls_per_hour: Annotated[float, Field(ge=0)]
    """New matters per hour at the busiest hour; calls about the same matter come on top."""
    shape: Shape = "flat"
    patience_seconds: Seconds = 240
    """Mean of an exponential: how long a caller waits before hanging up."""
    talk_seconds: Seconds = 180
    talk_variation: Annotated[float, Field(gt=0, le=5)] = 0.8
    wrap_up_seconds: Seconds = 25
    calls_per_matter: Annotated[float, Field(ge=1)] = 1.0
    """Mean number of calls until a matter is settled (geometric)."""
    call_back_seconds: Seconds = 300
    """Mean time until the caller calls again about an unsettled matter."""
    redial: Probability = 0.5
    """Chance that a caller who hung up while waiting tries again."""
    return_after_closing: Probability = 0.02
    """Chance that a settled matter turns out not to be."""
    withheld: Probability = 0.03
    """Chance that the caller's number is withheld."""


class Outbound(_Frozen):
    """People on the lists of campaigns."""

    answered: Probability = 0.45
    machine: Probability = 0.12
    busy: Probability = 0.08
    failed: Probability = 0.03
    """The rest does not answer."""
    answer_seconds: Seconds = 9
    talk_seconds: Seconds = 110
    talk_variation: Annotated[float, Field(gt=0, le=5)] = 0.9
    wrap_up_seconds: Seconds = 20
    settled: Probability = 0.8
    """Chance that the call settles the matter (an appointment, a refusal)."""


class Work(_Frozen):
    """Agents."""

    reaction_seconds: Seconds = 2.5
    """Mean time until an offered call is accepted; an outbound call is put through at once."""
    miss: Probability = 0.01
    """Chance that an offer is overlooked."""
    decline: Probability = 0.005
    break_every_seconds: Seconds = 5400
    break_seconds: Seconds = 480


class Traffic(_Frozen):
    """Traffic by queue id and campaign id. A queue that is not named gets no calls of its own."""

    queues: dict[str, Inbound] = {}
    campaigns: dict[str, Outbound] = {}
    work: Work = Work()

    @classmethod
    def load(cls, path: Path) -> Traffic:
        """Read a YAML file. Raises pydantic's ValidationError, or OSError."""
        return cls.model_validate(yaml.load(path.read_text(encoding="utf-8"), _Loader) or {})  # noqa: S506 - a safe one

    @classmethod
    def for_floor(cls, floor: Floor, *, load: float = 0.8, inbound: Inbound | None = None) -> Traffic:
        """Traffic that keeps the floor's agents busy for about the share `load` of their time at the peak.

        Each agent is shared evenly between the queues that it can serve. Queues that only catch overflow, and those
        of campaigns, get no calls of their own.
        """
        model = inbound or Inbound(calls_per_hour=0)
        served_otherwise = {queue.overflow.queue_id for queue in floor.queues if queue.overflow is not None}
        served_otherwise |= {campaign.queue_id for campaign in floor.campaigns}
        direct = [queue for queue in floor.queues if queue.id not in served_otherwise]
        share: dict[str, float] = dict.fromkeys((queue.id for queue in direct), 0.0)
        able = {queue.id: {agent.id for agent in floor.agents_of(queue)} for queue in direct}
        for agent in floor.agents:
            queues = [queue for queue, agents in able.items() if agent.id in agents]
            for queue_id in queues:
                share[queue_id] += 1 / len(queues)
        handling = (model.talk_seconds + model.wrap_up_seconds) * model.calls_per_matter
        queues_traffic = {
            queue_id: model.model_copy(update={"calls_per_hour": load * agents * 3600 / handling})
            for queue_id, agents in share.items()
        }
        return cls(queues=queues_traffic, campaigns={campaign.id: Outbound() for campaign in floor.campaigns})
