"""Who may save what a node makes, where a machine may be thought dead and go on all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from recycling.files import guarded, write_json

FOLDER = "leases"
"""Beside the records of outputs."""


class LeaseLostError(RuntimeError):
    """A later attempt has taken a node over: one line, which node, who runs it."""


@dataclass(frozen=True, order=True)
class Token:
    """One attempt to run a node; a later one is greater.

    Attributes:
        turn: Counts the runs that have locked the node's outputs: no clock says which is later.
        attempt: Counts all that a run's scheduler gives out; 0 of a run without one.
        run_id: The run, as Kedro names it.
        holder: Who tries.
    """

    turn: int = 0
    attempt: int = 0
    run_id: str = ""
    holder: str = ""


@dataclass(frozen=True)
class Leases:
    """Which attempt may save the outputs of each node: a small file for each.

    No lock of the system is held: it would stay with a machine that no longer answers. What has
    been begun too early is refused when it is to take its place.

    Args:
        folder: Where they lie, in the folder that all machines share; it need not be there.

    >>> leases = Leases(getfixture("tmp_path"))
    >>> turn = leases.give("train", "monday")
    >>> with leases.held("train", Token(turn, 1, "monday", "a")):
    ...     with leases.held("train", Token(turn, 2, "monday", "b")):
    ...         write_json(leases.folder / "made.json", "late")
    ...     write_json(leases.folder / "made.json", "early")
    Traceback (most recent call last):
    ...
    recycling.runners.leases.LeaseLostError: train: taken over by b; a saves nothing more
    >>> (leases.folder / "made.json").read_text().strip()
    '"late"'
    """

    folder: Path

    @contextmanager
    def held(self, node: str, token: Token) -> Iterator[None]:
        """Run a node: all that is saved in this thread meanwhile is saved under its lease.

        Raises:
            LeaseLostError: A later attempt has taken it over, before or meanwhile.
        """

        def check() -> None:
            self._check(node, token)

        check()
        with guarded(check):
            yield

    def give(self, node: str, run_id: str) -> int:
        """Give a node's lease to a run that has locked its outputs; who has had it saves no more.

        Returns:
            The turn of the run, for the tokens of its attempts.
        """
        found = self._read(node)
        turn = 0 if found is None else found.turn + 1
        self._write(node, Token(turn, run_id=run_id))
        return turn

    def take_over(self, node: str, run_id: str) -> None:
        """Take a node over that other machines may be at still, if any has had it."""
        if self._path(node).exists():
            self.give(node, run_id)

    def _check(self, node: str, token: Token) -> None:
        """Take the lease unless a later attempt has it."""
        found = self._read(node)
        if found is not None and found > token:
            raise LeaseLostError(
                f"{node}: taken over by {found.holder or f'the run {found.run_id}'}; "
                f"{token.holder} saves nothing more"
            )
        if found != token:
            self._write(node, token)

    def _read(self, node: str) -> Token | None:
        try:
            return Token(**json.loads(self._path(node).read_bytes()))
        except FileNotFoundError:
            return None

    def _write(self, node: str, token: Token) -> None:
        write_json(self._path(node), asdict(token))

    def _path(self, node: str) -> Path:
        return self.folder / f"{quote(node, safe='')}.json"
