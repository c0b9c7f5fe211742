"""Where `data` of `globals.yml` is on this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException

from recycling.addresses import is_address, set_options
from recycling.mirrors import mirror, place_of
from recycling.plan.parameters import ParameterError


def data_folder(config: Any, project: Path) -> Path:
    """The folder of all data; where that is an address, the one of this machine that stands for it.

    Args:
        config: The configuration; see `set_credentials`.
        project: The folder of the project.
    """
    set_credentials(config)
    data = str(config["globals"]["data"])
    return place_of(data) if is_address(data) else project / data


def set_credentials(config: Any) -> None:
    """Give file systems what `credentials.yml` says of them.

    Args:
        config: The configuration; what stands there below the name of a protocol is for all
            addresses of that protocol.
    """
    with suppress(MissingConfigException, KeyError):
        set_options(config["credentials"])


def mirrored_folder(config: Any, project: Path, inside: str) -> Path:
    """A folder in that of all data, which is the same here and at an address.

    Args:
        config: The configuration.
        project: The folder of the project.
        inside: Its path in that of all data.

    Raises:
        ParameterError: The address cannot be reached; one line.
    """
    folder = data_folder(config, project)
    if not is_address(data := str(config["globals"]["data"])):
        return folder / inside
    try:
        return mirror(f"{data.rstrip('/')}/{inside}")
    except (OSError, ImportError, ValueError) as error:
        raise ParameterError(f"globals.yml: data: {error}") from error
