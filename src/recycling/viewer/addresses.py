"""The state of a page is in its address, so that every state has a link."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from recycling.errors import cut, listed
from recycling.viewer.core import ViewerError


@dataclass(frozen=True)
class Address:
    """The address of a page.

    Attributes:
        path: Which page.
        values: What is said after the question mark; nothing of it is to be trusted.
    """

    path: str
    values: Mapping[str, str] = field(default_factory=dict)

    def link(self, path: str | None = None, **changes: object) -> str:
        """The address of another state.

        Args:
            path: Of another page, which begins with the changes alone.
            changes: What differs; None takes away.

        >>> here = Address("/", {"set": "train.annotations", "page": "2"})
        >>> here.link(page=None), here.link("/image", id=5)
        ('/?set=train.annotations', '/image?id=5')
        """
        values = {**(self.values if path is None else {}), **changes}
        kept = {key: value for key, value in values.items() if value not in (None, "")}
        where = self.path if path is None else path
        return f"{where}?{urlencode(kept)}" if kept else where

    def text(self, key: str) -> str | None:
        """A value; None where there is none."""
        return self.values.get(key) or None

    def number(self, key: str, default: int | None = None) -> int | None:
        """A whole number.

        Raises:
            ViewerError: It is none.
        """
        text = self.text(key)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError as error:
            raise ViewerError(f"{key}={cut(text, 60)}: not a whole number") from error

    def fraction(self, key: str, default: float) -> float:
        """A number from 0 to 1.

        Raises:
            ViewerError: It is none.
        """
        text = self.text(key)
        try:
            value = default if text is None else float(text)
        except ValueError as error:
            raise ViewerError(f"{key}={cut(text or '', 60)}: not a number") from error
        if not 0 <= value <= 1:
            raise ViewerError(f"{key}={text}: give a number from 0 to 1")
        return value

    def one_of(self, key: str, choices: Collection[str], default: str | None = None) -> str | None:
        """One of a few words.

        Raises:
            ViewerError: It is another one.

        >>> Address("/", {"show": "images"}).one_of("show", ["images", "annotations"])
        'images'
        """
        text = self.text(key)
        if text is None:
            return default
        if text not in choices:
            known = listed(choices) if choices else "none here"
            raise ViewerError(f"{key}={cut(text, 60)}: there are {known}")
        return text

    def on(self, key: str, default: bool = False) -> bool:
        """Whether a switch is on, said by 1 or 0.

        Raises:
            ViewerError: It is something else.
        """
        return self.one_of(key, ("0", "1"), "1" if default else "0") == "1"

    def several(self, key: str) -> list[str]:
        """Values with commas between them, each once.

        >>> Address("/", {"sides": "det.yolox,det.fcos,det.yolox"}).several("sides")
        ['det.yolox', 'det.fcos']
        """
        return list(dict.fromkeys(filter(None, (self.text(key) or "").split(","))))
