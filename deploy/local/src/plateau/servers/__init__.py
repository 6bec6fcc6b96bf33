"""The real servers of the local stack and of the tests, each a child process with a data directory that outlives it."""

from plateau.servers.brokers import KAFKA_VERSION, KafkaServer, apache_kafka, kafka_available, noida
from plateau.servers.postgresql import PostgresServer, postgres
from plateau.servers.process import ExternalServer, ServerFailed

__all__ = [
    "KAFKA_VERSION",
    "ExternalServer",
    "KafkaServer",
    "PostgresServer",
    "ServerFailed",
    "apache_kafka",
    "kafka_available",
    "noida",
    "postgres",
]
