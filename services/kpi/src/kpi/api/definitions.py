"""How each figure is made."""

from __future__ import annotations

from common.http import Model, Router
from pydantic import Field

from kpi.api.models import Reader
from kpi.domain.agents import TIME_FIGURES, TimeFigure
from kpi.domain.figures import DEFAULT_SERVICE_LEVEL, DEFINED, SERVICE_LEVELS, AnyFigure, ServiceLevelFormula

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
    plain = [_definition(figure) for figure in (*DEFINED, *TIME_FIGURES)]
    levels = [_definition(figure, formula) for formula, figure in SERVICE_LEVELS.items()]
    return Definitions(items=[*plain, *levels])


def _definition(figure: AnyFigure | TimeFigure, formula: ServiceLevelFormula | None = None) -> Definition:
    return Definition(
        name=figure.name,
        title=figure.title,
        unit=figure.unit,
        formula=figure.formula,
        exclusions=figure.exclusions,
        source=figure.source,
        service_level_formula=formula,
        default=formula in (None, DEFAULT_SERVICE_LEVEL),
    )
