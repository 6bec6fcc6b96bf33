"""Endpoints of tenants, and what was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.auth import Principal
from common.errors import Invalid
from common.fields import SLUG, Slug, TenantFilter
from common.http import (
    Caller,
    Db,
    Model,
    Page,
    PageCursor,
    PageLimit,
    Router,
    check_if_match,
    creates,
    decode_key,
    etag,
    page,
)
from common.ids import new_id
from fastapi import Path, Request, Response
from pydantic import Field, StringConstraints

from crm_bridge.api.parameters import Owner, shown_tenant
from crm_bridge.domain.webhooks import EVENT_TYPES, DeliveryState, EventType
from crm_bridge.service import webhooks as service
from crm_bridge.service.webhooks import Endpoint
from crm_bridge.store import deliveries
from crm_bridge.store import webhooks as store
from crm_bridge.store.deliveries import Delivery
from crm_bridge.store.webhooks import Webhook

router = Router(tags=["webhooks"])

WebhookPath = Annotated[str, Path(pattern=SLUG, examples=["kettle-crm"])]


class WebhookBody(Model):
    """Where the tenant wants to hear of its cases.

    A message is a POST of JSON, signed as Standard Webhooks says. It is delivered as soon as a status from 200 to 299
    comes, which must be within 10 seconds (unless the floor has set another limit); the body of the answer decides
    nothing. Redirects are not followed. Any other answer, and none, is tried again for 3 days, with growing pauses; 429
    and 503 with `Retry-After` not before then; 410 disables the endpoint.
    """

    tenant_id: Slug | None = Field(
        default=None, description="May be absent when the caller belongs to a tenant", examples=["kettle"]
    )
    url: Annotated[str, StringConstraints(min_length=1, max_length=2000)] = Field(
        description="https, on the public internet; has to answer within 10 seconds",
        examples=["https://crm.example.org/plateau"],
    )
    event_types: list[EventType] = Field(
        default_factory=lambda: list(EVENT_TYPES),
        min_length=1,
        max_length=100,
        description="All of them when absent",
        examples=[["case.closed.v1"]],
    )
    enabled: bool = Field(
        default=True, description="While false, messages wait for up to 3 days, and go out in order once it is true"
    )


class WebhookView(Model):
    """An endpoint. `enabled` goes to false by itself, with a `disabled_reason`, when nothing gets through for long."""

    id: str
    tenant_id: str
    url: str
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None = Field(description="First failure after the last success")
    paused_until: datetime | None = Field(description="The receiver asked (`Retry-After`) for no message before then")
    previous_secret_until: datetime | None = Field(
        description="Until then messages carry the signature of the secret that was replaced last, too. One that was"
        " replaced before it goes on signing until a day after that"
    )
    created_at: datetime
    updated_at: datetime
    version: int


class WebhookMade(WebhookView):
    """`secret` is given when it is made, and never again; messages are signed with it as Standard Webhooks says."""

    secret: str | None = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class DeliveryView(Model):
    """One message to the endpoint; its header `webhook-id` is the same at every try."""

    id: UUID
    webhook_id: str
    event_type: str
    case_id: UUID
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    expires_at: datetime = Field(description="Until then it is tried, or waits for its endpoint; then it has `expired`")
    last_status: int | None = Field(description="HTTP status of the last answer: it alone decides")
    last_error: str | None = Field(description="Why the last try got no answer, or where its redirect leads")
    last_excerpt: str | None = Field(description="Beginning of the last answer's body, as far as it came")
    created_at: datetime
    delivered_at: datetime | None
    body: str


def _fields(webhook: Webhook) -> dict[str, object]:
    return {name: getattr(webhook, name) for name in WebhookView.model_fields}


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView.model_validate(_fields(webhook))


def _made(put: service.Put, response: Response) -> WebhookMade:
    response.headers["etag"] = etag(put.webhook.version)
    if put.secret is not None:
        response.headers["cache-control"] = "no-store"
    return WebhookMade.model_validate({**_fields(put.webhook), "secret": put.secret})


def _delivery(delivery: Delivery) -> DeliveryView:
    fields = {name: getattr(delivery, name) for name in DeliveryView.model_fields}
    if delivery.state != "pending":
        fields["next_attempt_at"] = None
    return DeliveryView.model_validate(fields)


def _endpoint(body: WebhookBody, caller: Principal) -> Endpoint:
    tenant_id = body.tenant_id or caller.tenant_id
    if tenant_id is None:
        raise Invalid("tenant_id: say whose endpoint this is", field="tenant_id")
    caller.check_tenant(tenant_id)
    return Endpoint(tenant_id=tenant_id, url=body.url, event_types=list(body.event_types), enabled=body.enabled)


@router.post("/webhooks", status_code=201, dependencies=[Owner])
async def create_webhook(
    body: WebhookBody, request: Request, response: Response, session: Db, caller: Caller
) -> WebhookMade:
    """Create an endpoint under an id that is made up here. Its secret is in this answer alone."""
    state = request.app.state.runtime.state
    put = await service.put(
        session, str(new_id()), _endpoint(body, caller), vault=state.vault, allow_private=state.allow_private
    )
    response.headers["location"] = f"/v1/webhooks/{put.webhook.id}"
    return _made(put, response)


@router.put("/webhooks/{webhook_id}", dependencies=[Owner], responses=creates(WebhookMade))
async def put_webhook(
    webhook_id: WebhookPath, body: WebhookBody, request: Request, response: Response, session: Db, caller: Caller
) -> WebhookMade:
    """Create (201, with the secret) or replace (200). Ids are unique on the floor, so the floor alone chooses them: a
    tenant replaces its own here and creates with POST. Enabling a disabled endpoint sends what waited for it, in
    order."""
    state = request.app.state.runtime.state
    endpoint = _endpoint(body, caller)
    if caller.tenant_id is not None:
        await service.get(session, webhook_id, locked=True)
    if "if-match" in request.headers:
        present = await store.by_id(session, webhook_id, locked=True)
        check_if_match(request, None if present is None else present.version)
    put = await service.put(session, webhook_id, endpoint, vault=state.vault, allow_private=state.allow_private)
    response.status_code = 200 if put.secret is None else 201
    return _made(put, response)


@router.get("/webhooks", dependencies=[Owner])
async def list_webhooks(
    session: Db, caller: Caller, tenant_id: TenantFilter = None, limit: PageLimit = 100, cursor: PageCursor = None
) -> Page[WebhookView]:
    """By id."""
    found = await store.page(
        session, tenant_id=shown_tenant(caller, tenant_id), after=decode_key(cursor, str), limit=limit
    )
    return page([_view(webhook) for webhook in found], limit, lambda last: (last.id,))


@router.get("/webhooks/{webhook_id}", dependencies=[Owner])
async def get_webhook(webhook_id: WebhookPath, response: Response, session: Db) -> WebhookView:
    """One endpoint."""
    webhook = await service.get(session, webhook_id)
    response.headers["etag"] = etag(webhook.version)
    return _view(webhook)


@router.delete("/webhooks/{webhook_id}", status_code=204, dependencies=[Owner])
async def delete_webhook(webhook_id: WebhookPath, session: Db) -> Response:
    """Remove an endpoint with everything that was, or was to be, sent to it."""
    await service.delete(session, webhook_id)
    return Response(status_code=204)


@router.post("/webhooks/{webhook_id}/rotate-secret", dependencies=[Owner])
async def rotate_webhook_secret(
    webhook_id: WebhookPath, request: Request, response: Response, session: Db
) -> WebhookMade:
    """A new secret, in this answer alone. For a day messages carry the replaced one's signature too, however often it
    is replaced meanwhile; 409 when nine of them still sign."""
    state = request.app.state.runtime.state
    return _made(await service.rotate_secret(session, webhook_id, vault=state.vault, clock=state.wall_clock), response)


@router.get("/webhooks/{webhook_id}/deliveries", dependencies=[Owner])
async def list_webhook_deliveries(
    webhook_id: WebhookPath,
    session: Db,
    state: DeliveryState | None = None,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
) -> Page[DeliveryView]:
    """Newest first; finished ones are kept for 30 days."""
    await service.get(session, webhook_id)
    found = await deliveries.page(
        session, webhook_id=webhook_id, state=state, before=decode_key(cursor, UUID), limit=limit
    )
    return page([_delivery(delivery) for delivery in found], limit, lambda last: (last.id,))


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202, dependencies=[Owner])
async def replay_webhook_delivery(webhook_id: WebhookPath, delivery_id: UUID, session: Db) -> DeliveryView:
    """Send it again, under its old message id. 409 when the endpoint is disabled."""
    return _delivery(await service.replay(session, webhook_id, delivery_id))
