"""Money: an exact decimal amount with its currency, rounded in one place."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from common import spelling

EXPONENTS: dict[str, int] = {
    "EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "CAD": 2, "AUD": 2, "NZD": 2, "SEK": 2, "NOK": 2, "DKK": 2, "PLN": 2,
    "CZK": 2, "HUF": 2, "RON": 2, "BGN": 2, "TRY": 2, "MAD": 2, "XOF": 0, "XAF": 0, "JPY": 0, "KRW": 0, "TND": 3,
    "KWD": 3, "BHD": 3, "INR": 2, "CNY": 2, "BRL": 2, "MXN": 2, "ZAR": 2, "SGD": 2, "HKD": 2,
}  # fmt: skip
"""Digits after the point of the currencies that can be billed in (ISO 4217)."""


class InvalidMoney(ValueError):
    """Not an amount of a known currency, or two currencies mixed."""


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Round half up to the currency's smallest unit: the only place where money is rounded.

    Half up (away from zero for negative amounts) so that a reversal is exactly the negative of its charge.
    Raises InvalidMoney for an unknown currency.
    """
    try:
        exponent = EXPONENTS[currency]
    except KeyError:
        raise InvalidMoney(f"unknown currency {currency!r}") from None
    return amount.quantize(Decimal(1).scaleb(-exponent), rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency. Adding two currencies raises InvalidMoney."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise InvalidMoney(f"unknown currency {self.currency!r}")
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise InvalidMoney(f"not an exact amount: {self.amount!r}")

    @classmethod
    def of(cls, text: str, currency: str) -> Money:
        """Read an amount such as "4.20". Raises InvalidMoney, also when it has more digits than the currency."""
        try:
            amount = spelling.decimal(text)
        except ValueError as wrong:
            raise InvalidMoney(f"not an amount: {wrong}") from None
        cls(amount, currency)
        if round_money(amount, currency) != amount:
            raise InvalidMoney(f"{text!r} has more digits than {currency} has")
        return cls(round_money(amount, currency), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, in that currency."""
        return cls(round_money(Decimal(0), currency), currency)

    def _same(self, other: Money) -> None:
        if other.currency != self.currency:
            raise InvalidMoney(f"{self.currency} and {other.currency} do not add")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return self + -other

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, quantity: int | Decimal) -> Money:
        return Money(round_money(self.amount * quantity, self.currency), self.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
