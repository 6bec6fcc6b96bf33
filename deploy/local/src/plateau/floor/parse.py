"""A floor file read: every field's own rules. What spans several things is in `check`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import phonenumbers
import yaml
from billing.domain.tariffs import HIGHEST_PRICE
from common import spelling
from common.money import EXPONENTS, InvalidMoney, Money
from common.phone import DEFAULT_REGION, InvalidPhone, normalise
from crm_bridge.domain.webhooks import EVENT_TYPES, refusal

from plateau.floor.campaigns import read_campaign
from plateau.floor.document import SLUG, Document, Fields, Wrong, decimal, suggestion
from plateau.floor.draft import ID_RULE, Draft, each, time_zone
from plateau.floor.entry_points import entry_point
from plateau.floor.model import Tariff, Tenant, Webhook
from plateau.floor.pools import read_pool
from plateau.floor.queues import read_queue
from plateau.floor.sites import read_site

RESERVED_TENANT: Final = "floor"
MOST_NUMBERS: Final = 1000
"""Of a directory."""
MOST_BARRED: Final = 10_000
"""Numbers of a do-not-call list in a floor file; the API takes any number of them."""
MOST_DISPOSITIONS: Final = 200
LONGEST_DISPOSITION: Final = 64
LONGEST_URL: Final = 2000


def read(text: str, source: str, directory: Path) -> Draft:
    """Read a whole file. What is wrong is in `draft.document.wrong`; relative paths are seen from `directory`."""
    draft = Draft(Document(text, source))
    if draft.document.root is None:
        return draft
    top = draft.document.fields(draft.document.root, "")
    for section, reader in (("sites", read_site), ("pools", read_pool), ("tenants", _tenant)):
        node = top.node_of(section)
        if node is None:
            continue
        for name, value, path in draft.document.fields(node, section).entries():
            reader(draft, name, value, path, directory)
    top.done()
    return draft


def _tenant(draft: Draft, name: str, node: yaml.Node, path: str, directory: Path) -> None:
    draft.new_id("tenant", name, node, path)
    if name == RESERVED_TENANT:
        draft.document.refuse(node, path, "this id stands for the floor itself: choose another", name)
    fields = draft.document.fields(node, path)
    region = fields.text("region", DEFAULT_REGION, check=_region)
    possible = fields.boolean("allow_possible_numbers", False)
    read_phone = partial(normalise, region=region, possible=possible)
    currency = fields.text("currency", "EUR", check=_currency)
    dispositions = fields.texts("closing_dispositions", (), most=MOST_DISPOSITIONS)
    for text, place in dispositions:
        if len(text) > LONGEST_DISPOSITION or not text.isprintable():
            detail = f"must be a text of 1 to {LONGEST_DISPOSITION} characters on one line"
            draft.document.wrong.append(Wrong(place, fields.path_of("closing_dispositions"), detail, text))
    draft.tenants.append(
        Tenant(
            id=name,
            name=fields.text("name"),
            time_zone=fields.text("time_zone", check=time_zone),
            region=region,
            allow_possible_numbers=possible,
            currency=currency,
            reopen_window_days=fields.integer("reopen_window_days", 14, low=0, high=3650),
            closing_dispositions=tuple(text for text, _ in dispositions),
            directory=_directory(fields, read_phone),
            rest_after_call_minutes=fields.integer("rest_after_call_minutes", 60, low=0, high=60 * 24 * 30),
            do_not_call=_do_not_call(fields, read_phone),
            tariff=_tariff(draft, fields, currency),
            place=fields.place,
            places=fields.places,
        )
    )
    each(draft, fields, "webhooks", "webhook", lambda key, inner: _webhook(name, key, inner), draft.webhooks)
    each(draft, fields, "queues", "queue", lambda key, inner: read_queue(draft, name, key, inner), draft.queues)
    each(
        draft,
        fields,
        "entry_points",
        "entry point",
        lambda key, inner: entry_point(name, key, inner, read_phone),
        draft.entry_points,
    )
    each(
        draft,
        fields,
        "campaigns",
        "campaign",
        lambda key, inner: read_campaign(name, key, inner, directory),
        draft.campaigns,
    )
    fields.done()


def _tariff(draft: Draft, tenant: Fields, currency: str) -> Tariff | None:
    node = tenant.node_of("tariff")
    if node is None:
        return None
    fields = draft.document.fields(node, tenant.path_of("tariff"))
    price = fields.value("price_per_closed_case", lambda text: _price(text, currency), Decimal(0), required=True)
    valid_from = fields.value("valid_from", _date, None, required=False)
    fields.done()
    place = fields.places.get("price_per_closed_case", fields.place)
    return Tariff(price_per_closed_case=price, valid_from=valid_from, place=place)


def _webhook(tenant_id: str, name: str, fields: Fields) -> Webhook:
    event_types = fields.texts("event_types", EVENT_TYPES, least=1)
    for kind, place in event_types:
        if kind not in EVENT_TYPES:
            detail = f"must be an event that webhooks can carry{suggestion(kind, EVENT_TYPES)}"
            fields.document.wrong.append(Wrong(place, fields.path_of("event_types"), detail, kind))
    webhook = Webhook(
        id=name,
        tenant_id=tenant_id,
        url=fields.text("url", check=_url),
        event_types=tuple(kind for kind, _ in event_types),
        enabled=fields.boolean("enabled", True),
        place=fields.place,
        places=fields.places,
    )
    fields.done()
    return webhook


def _directory(tenant: Fields, read_phone: Callable[[str], str]) -> dict[str, str]:
    node = tenant.node_of("directory")
    if node is None:
        return {}
    fields = tenant.document.fields(node, tenant.path_of("directory"), MOST_NUMBERS)
    found = {}
    for name, inner, path in fields.entries():
        text = tenant.document.scalar(inner, path)
        if text is None:
            continue
        if not SLUG.fullmatch(name):
            tenant.document.refuse(inner, path, ID_RULE, name)
        try:
            found[name] = read_phone(text)
        except InvalidPhone as wrong:
            tenant.document.refuse(inner, path, str(wrong), text)
    return found


def _do_not_call(tenant: Fields, read_phone: Callable[[str], str]) -> tuple[str, ...]:
    found = []
    for text, place in tenant.texts("do_not_call", (), most=MOST_BARRED):
        try:
            found.append(read_phone(text))
        except InvalidPhone as wrong:
            tenant.document.wrong.append(Wrong(place, tenant.path_of("do_not_call"), str(wrong), text))
    return tuple(dict.fromkeys(found))


def _currency(text: str) -> str:
    if text not in EXPONENTS:
        raise ValueError(f"must be a currency that can be billed in{suggestion(text, EXPONENTS)}")
    return text


def _region(text: str) -> str:
    if text not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be a country such as FR (ISO 3166)")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a web address (https://…)")
    reason = refusal(text, allow_private=True)
    if reason is not None or len(text) > LONGEST_URL:
        raise ValueError(reason or f"must be at most {LONGEST_URL} characters")
    return text


def _price(text: str, currency: str) -> Decimal:
    number = decimal(text)
    if number < 0:
        raise ValueError("a price must not be negative")
    if number > HIGHEST_PRICE:
        raise ValueError(f"a price must be at most {HIGHEST_PRICE}")
    try:
        return Money.of(text, currency).amount
    except InvalidMoney as error:
        raise ValueError(f"must be an amount in {currency} ({error})") from None


def _date(text: str) -> date | None:
    try:
        return spelling.day(text)
    except ValueError:
        raise ValueError("must be a date such as 2026-11-01") from None
