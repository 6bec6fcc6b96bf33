"""One trace, from the PBX's request to the charge, seen by a collector that receives OTLP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from common.events import CATALOGUE
from common.kafka import Kafka
from common.telemetry import new_traceparent
from common.testing import eventually
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from plateau.client import Client
from plateau.stack import running_stack
from plateau.state import State
from support import read_all

Seen = set[tuple[str, str, str]]
"""(trace id, service, span name)"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """An OTLP/HTTP receiver that the services export to."""
    seen: Seen = set()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path.endswith("/v1/traces"):
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {item.key: item.value.string_value for item in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            seen.add((span.trace_id.hex(), names["service.name"], span.name))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    yield seen
    server.shutdown()
    server.server_close()
    thread.join()


async def test_one_trace_from_the_ring_to_the_charge(collector: Seen, tmp_path: Path) -> None:
    traceparent = new_traceparent()
    trace = traceparent.split("-")[1]
    async with running_stack(State(tmp_path), speed=1.0) as stack, Client(stack.urls, stack.token()) as client:
        for service in ("routing", "crm-bridge", "billing", "kpi", "dialer"):
            body = {"name": "Kettle & Quill (invented)", "time_zone": "Europe/Paris"}
            if service == "billing":
                body["currency"] = "EUR"
            if service == "crm-bridge":
                await client.put(service, "/v1/tenants/kettle", {**body, "closing_dispositions": ["solved"]})
            else:
                await client.put(service, "/v1/tenants/kettle", body)
        await client.put("billing", "/v1/tenants/kettle/tariff", {"price_per_closed_case": "4.20"})
        await client.put("routing", "/v1/pools/main", {"name": "Main", "skills": ["complaints"]})
        await client.put(
            "routing",
            "/v1/queues/complaints",
            {"tenant_id": "kettle", "pool_id": "main", "required_skills": ["complaints"], "wrap_up_seconds": 60},
        )
        await client.put("routing", "/v1/agents/ada", {"name": "Ada", "pool_id": "main", "skills": {"complaints": 5}})
        await client.post("routing", "/v1/agents/ada/log-in")

        async def call_state(wanted: str) -> bool:
            found = await client.find("routing", f"/v1/calls/{call_id}")
            return found is not None and found["state"] == wanted

        answer = await client.request(
            "routing",
            "POST",
            "/v1/calls",
            json={"queue_id": "complaints", "contact_phone": "+33199001234", "channel": "voice"},
            headers={"traceparent": traceparent},
        )
        call_id = answer.json()["call_id"]
        await eventually(lambda: call_state("offered"))
        await client.post("routing", f"/v1/calls/{call_id}/accept", {"agent_id": "ada"})
        await eventually(lambda: call_state("talking"))
        await client.post("routing", f"/v1/calls/{call_id}/hang-up")
        await client.post("routing", f"/v1/calls/{call_id}/wrap-up", {"agent_id": "ada", "disposition": "solved"})

        async def charged() -> bool:
            page = await client.get("billing", "/v1/charges", tenant_id="kettle")
            return bool(page["items"])

        await eventually(charged)

        async def exported() -> bool:
            return {service for seen, service, _ in collector if seen == trace} >= {
                "routing",
                "crm-bridge",
                "billing",
            }

        await eventually(exported)
        spans = {(service, name) for seen, service, name in collector if seen == trace}
        assert any(service == "routing" and "/v1/calls" in name for service, name in spans), spans
        assert ("billing", "rate charge") in spans, spans

        kafka = Kafka(stack.bootstrap_servers)
        carried = {}
        for topic in ("calls", "cases", "billing"):
            for record in await read_all(kafka, topic):
                headers = {name: value.decode() for name, value in record.headers}
                carried[headers["ce_type"]] = headers["traceparent"].split("-")[1]
    wanted = ["call.offered.v1", "call.answered.v1", "call.wrapped_up.v1", "case.opened.v1", "case.closed.v1"]
    for kind in (*wanted, "charge.recorded.v1"):
        assert kind in CATALOGUE
        assert carried[kind] == trace, kind
