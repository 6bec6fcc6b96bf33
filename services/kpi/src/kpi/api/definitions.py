"""How each figure is made."""

from __future__ import annotations

from common.http import Model, Router
from pydantic import Field

from kpi.api.models import Reader
from kpi.domain.agents import TIME_FIGURES
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, DEFINED, SERVICE_LEVELS, ServiceLevelFormula

router = Router(tags=["figures"], dependencies=[Reader])


class Definition(Model):
    """One figure: what is divided by what, what is left out, and where the definition is from."""

    name: str = Field(examples=["service_level"])
    title: str
    unit: str = Field(examples=["ratio"])
    formula: str = Field(examples=["answered_within / (offered − short_abandoned)"])
    exclusions: str
    source: str
    service_level_formula: ServiceLevelFormula | None = Field(
        default=None, description="The value of a tenant's `service_level_formula` that chooses this one"
    )
    default: bool = True


class Definitions(Model):
    """Every figure that KPI serves."""

    items: list[Definition]


@router.get("/definitions")
async def list_definitions() -> Definitions:
    """Every figure with its formula, exclusions and source; the service level in each of its variants."""
    plain = [
        Definition(
            name=figure.name,
            title=figure.title,
            unit=figure.unit,
            formula=figure.formula,
            exclusions=figure.exclusions,
            source=figure.source,
        )
        for figure in (*DEFINED, *TIME_FIGURES)
    ]
    levels = [
        Definition(
            name=figure.name,
            title=figure.title,
            unit=figure.unit,
            formula=figure.formula,
            exclusions=figure.exclusions,
            source=figure.source,
            service_level_formula=name,
            default=name == DEFAULT_SERVICE_LEVEL,
        )
        for name, figure in SERVICE_LEVELS.items()
    ]
    return Definitions(items=[*plain, *levels])
