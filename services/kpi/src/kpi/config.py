"""Settings of KPI."""

from __future__ import annotations

from common.config import ServiceSettings


class Settings(ServiceSettings):
    """KPI needs nothing beside what every service needs."""

    http_port: int = 8105
