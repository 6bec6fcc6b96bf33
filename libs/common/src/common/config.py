"""Settings that every service reads from its environment (or from files named after them in `/run/secrets`)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.clock import Clock, ScaledClock, SystemClock
from common.kafka import Kafka

_SECRETS = Path("/run/secrets")
GRACE_SECONDS = 25.0
CLOSING_SECONDS = 10.0
"""Real seconds that producer and pool may take to close once all parts of a service have ended (`grace_seconds`)."""


class ServiceSettings(BaseSettings):
    """What every service needs; each service's `config.py` adds its own."""

    model_config = SettingsConfigDict(secrets_dir=_SECRETS if _SECRETS.is_dir() else None, extra="ignore")

    database_url: SecretStr
    database_pool_size: int = 10
    grace_seconds: float = Field(default=GRACE_SECONDS, ge=CLOSING_SECONDS + 6)
    """Real seconds in which the process ends that has been told to, whatever it is doing. Under Kubernetes, shorter
    than `terminationGracePeriodSeconds` less the preStop hook."""
    kafka_bootstrap_servers: str
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ca_file: str | None = None
    kafka_session_timeout_ms: int = 10_000
    """A replica that is silent for so long loses its partitions (Kafka allows 6,000 and more unless told otherwise)."""
    kafka_instance_id: str | None = None
    """See `common.kafka.Kafka.instance_id`."""
    kafka_idle_pause_ms: int = 0
    """See `common.kafka.Kafka.idle_pause_ms`: for the local broker only."""
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    jwks_url: str
    """Where the issuer publishes its keys: `https://…`, or `file://…` in the local stack."""
    jwt_issuer: str
    jwt_audience: str = "plateau"
    clock_speed: float = 1.0
    clock_origin: datetime | None = None
    clock_real_origin: datetime | None = None
    log_level: str = "INFO"
    dead_letter_limit: int = 100
    inbox_days: int = 45
    """How long handled events are remembered; longer than Kafka can deliver one again."""
    ready_lag_limit: int = 50_000
    ready_outbox_seconds: float = 60.0

    def clock(self) -> Clock:
        """Real time, unless a speed or an origin is set."""
        if self.clock_speed == 1.0 and self.clock_origin is None:
            return SystemClock()
        real_origin = self.clock_real_origin or datetime.now(UTC)
        return ScaledClock(self.clock_speed, self.clock_origin or real_origin, real_origin)

    def kafka(self) -> Kafka:
        """How to reach the brokers."""
        return Kafka(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_sasl_username,
            None if self.kafka_sasl_password is None else self.kafka_sasl_password.get_secret_value(),
            self.kafka_ca_file,
            self.kafka_session_timeout_ms,
            self.kafka_instance_id,
            self.kafka_idle_pause_ms,
        )
