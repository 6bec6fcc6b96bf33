"""Endpoints of tenants and the messages to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import msgspec
from common.clock import Clock
from common.database import Session
from common.errors import Conflict, Invalid, NotFound
from common.events.crm import CaseEvent
from common.ids import new_id

from crm_bridge.domain.webhooks import LIFETIME, ReplacedSecret, refusal
from crm_bridge.service import tenants
from crm_bridge.service.secrets import Vault
from crm_bridge.store import deliveries
from crm_bridge.store import webhooks as store
from crm_bridge.store.deliveries import Delivery, Message
from crm_bridge.store.webhooks import Webhook

ROTATION = timedelta(hours=24)
"""How long a replaced secret goes on signing beside the newer ones."""
MOST_REPLACED = 9
"""Replaced secrets of an endpoint that sign at a time: each makes the header of every message longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What the owner of an endpoint decides."""

    tenant_id: str
    url: str
    event_types: list[str]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Put:
    """What came of a PUT. `secret` is given when the endpoint is new, and never again."""

    webhook: Webhook
    secret: str | None


async def put(session: Session, webhook_id: str, endpoint: Endpoint, *, vault: Vault, allow_private: bool) -> Put:
    """Create or replace. Enabling an endpoint that was disabled forgets its failures and sends what waited for it.

    Raises Invalid (url, tenant), or Conflict when the id is another tenant's.
    """
    reason = refusal(endpoint.url, allow_private=allow_private)
    if reason is not None:
        raise Invalid(f"url: {reason}", field="url", errors=[{"field": "url", "reason": reason}])
    await tenants.known(session, endpoint.tenant_id)
    types = sorted(set(endpoint.event_types))
    present = await store.by_id(session, webhook_id, locked=True)
    if present is None:
        secret, encrypted = vault.new_secret()
        made = await store.insert(
            session,
            webhook_id=webhook_id,
            tenant_id=endpoint.tenant_id,
            url=endpoint.url,
            event_types=types,
            enabled=endpoint.enabled,
            secret=encrypted,
        )
        if made is None:
            raise Conflict(f"the webhook id {webhook_id} has just been taken")
        return Put(made, secret)
    if present.tenant_id != endpoint.tenant_id:
        raise Conflict(
            f"the webhook {webhook_id} belongs to another tenant; its tenant cannot change", field="tenant_id"
        )
    wanted = replace(present, url=endpoint.url, event_types=types, enabled=endpoint.enabled)
    if wanted == present:
        return Put(present, None)
    if wanted.url != present.url:
        wanted = replace(wanted, paused_until=None)
    if wanted.enabled and not present.enabled:
        wanted = replace(wanted, disabled_reason=None, failing_since=None, paused_until=None, resuming=True)
    return Put(await store.update(session, wanted), None)


async def get(session: Session, webhook_id: str, *, locked: bool = False) -> Webhook:
    """Raises NotFound."""
    webhook = await store.by_id(session, webhook_id, locked=locked)
    if webhook is None:
        raise NotFound(f"no webhook {webhook_id}")
    return webhook


async def delete(session: Session, webhook_id: str) -> None:
    """Remove the endpoint with its deliveries. Raises NotFound."""
    if not await store.delete(session, webhook_id):
        raise NotFound(f"no webhook {webhook_id}")


async def rotate_secret(session: Session, webhook_id: str, *, vault: Vault, clock: Clock) -> Put:
    """A new secret; every replaced one goes on signing for `ROTATION` after it was replaced.

    Raises NotFound, or Conflict when `MOST_REPLACED` sign already.
    """
    webhook = await get(session, webhook_id, locked=True)
    now = clock.now()
    replaced = tuple(old for old in webhook.replaced_secrets if now < old.until)
    if len(replaced) >= MOST_REPLACED:
        raise Conflict(
            f"{len(replaced)} replaced secrets of the webhook {webhook_id} still sign beside the current one; the first"
            f" of them ends at {min(old.until for old in replaced):%Y-%m-%d %H:%M} UTC: rotate again after that"
        )
    secret, encrypted = vault.new_secret()
    newest = ReplacedSecret(webhook.secret, now + ROTATION)
    return Put(
        await store.update(session, replace(webhook, secret=encrypted, replaced_secrets=(newest, *replaced))), secret
    )


async def replay(session: Session, webhook_id: str, delivery_id: UUID) -> Delivery:
    """Send a delivery once more, under its old message id. Raises NotFound, or Conflict for a disabled endpoint."""
    webhook = await get(session, webhook_id)
    if not webhook.enabled:
        raise Conflict(f"the webhook {webhook_id} is disabled: enable it first")
    delivery = await deliveries.replay(session, webhook_id, delivery_id, lifetime=LIFETIME)
    if delivery is None:
        raise NotFound(f"no delivery {delivery_id} of webhook {webhook_id}")
    return delivery


async def announce(session: Session, events: Sequence[CaseEvent]) -> None:
    """Queue these events for the endpoints that subscribe to them, in the transaction that publishes them.

    For an endpoint that is disabled they wait. A message holds the case's ids and times and nothing about the person.
    """
    if not events:
        return
    endpoints = await store.subscribed(session, {event.tenant_id for event in events})
    messages = []
    for event in events:
        wanting = [
            webhook_id
            for webhook_id, tenant_id, types in endpoints
            if tenant_id == event.tenant_id and event.TYPE in types
        ]
        if wanting:
            body = msgspec.json.encode({"type": event.TYPE, "timestamp": event.occurred_at, "data": event}).decode()
            messages += [
                Message(new_id(), event.tenant_id, webhook_id, event.TYPE, UUID(event.case_id), body)
                for webhook_id in wanting
            ]
    await deliveries.insert(session, messages, lifetime=LIFETIME)
