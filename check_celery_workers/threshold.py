"""A Nagios range, in absolute numbers or in percent."""

from __future__ import annotations

import re

from nagiosplugin import Range

from check_celery_workers.node import printable

# Python prints longer numbers with an exponent, which the guidelines do not allow.
_NUMBER = r"(?:[0-9]{1,15}(?:\.[0-9]{1,4})?|\.[0-9]{1,4})"
_RANGE = rf"(?=.*[0-9~])@?(?:(?:~|-?{_NUMBER})?:)?(?:-?{_NUMBER})?"
_DECIMALS = 4


class Threshold:
    """A Nagios range, `[@]start:end`; with a trailing %, its numbers are percent of the metric's maximum."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    @classmethod
    def parse(cls, text: str, percent: bool = False) -> Threshold:
        """Return the threshold that a user wrote; `percent`: it may end in %. Raises ValueError if it is no range."""
        numbers = text.removesuffix("%") if percent else text
        if not re.fullmatch(_RANGE, numbers):
            raise ValueError(f"{printable(text)!r} is not a range; write [@]start:end such as 2, 10: or ~:")
        # Raises if its start is over its end.
        Range(numbers)
        return cls(text)

    def alerts_at(self, number: int) -> bool:
        """Return whether this number, of which there is no maximum, is outside of the range."""
        return not Range(self._text).match(number)

    def range_of(self, most: int) -> Range:
        """Return the range in absolute numbers; percent are percent of `most`, exactly."""
        text = self._text
        if text.endswith("%"):
            text = re.sub(_NUMBER, lambda number: _percent_of(number[0], most), text[:-1])
        # As a string: nagiosplugin takes the number 0 for no threshold.
        return Range(text)


def _percent_of(number: str, most: int) -> str:
    """Return `number` percent of `most` without rounding: ("33.3333", 3) -> "0.999999"."""
    whole, _, decimals = number.partition(".")
    units = int((whole or "0") + decimals.ljust(_DECIMALS, "0")) * most
    decimals_of_result = _DECIMALS + 2
    whole, decimals = map(str, divmod(units, 10**decimals_of_result))
    return f"{whole}.{decimals.rjust(decimals_of_result, '0')}".rstrip("0").rstrip(".")
