"""The traffic simulator: speaks only the public HTTP APIs, as a PBX and as agents would."""

from plateau.simulator.counters import Counters
from plateau.simulator.simulator import Simulator
from plateau.simulator.traffic import Inbound, Outbound, Traffic, Work

__all__ = ["Counters", "Inbound", "Outbound", "Simulator", "Traffic", "Work"]
