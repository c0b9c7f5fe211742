"""S3 for fsspec, by pyarrow's client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from fsspec.implementations.arrow import ArrowFSWrapper, wrap_exceptions
from pyarrow.fs import AwsStandardS3RetryStrategy, FileSelector, FileType
from pyarrow.fs import S3FileSystem as ArrowS3

_ATTEMPTS = 8
"""Of a request that fails: with waits that double, up to a minute in all."""

_CONNECT_SECONDS = 10
_REQUEST_SECONDS = 60

_OF_FSSPEC = ("asynchronous", "skip_instance_cache", "use_listings_cache")


class S3FileSystem(ArrowFSWrapper):  # type: ignore[misc]
    """Objects of S3, or of a server that speaks its language.

    Requests that fail are tried again. Options are called as s3fs calls them; what is not given is
    found where every client of S3 looks: ``AWS_ACCESS_KEY_ID`` and its like, ``~/.aws``, the
    machine's role; the endpoint in ``AWS_ENDPOINT_URL``.

    Args:
        key: Of the access.
        secret: That belongs to it.
        token: Of a session.
        endpoint_url: Of a server that is not Amazon's: ``http://127.0.0.1:9000``.
        region: Of the bucket; s3fs has it in `client_kwargs` alone.
        anon: Whether to ask without credentials.
        client_kwargs: `endpoint_url` and `region_name`, as boto calls them.
        options: Of fsspec.

    Raises:
        ValueError: An option is not taken.
    """

    protocol = ("s3", "s3a")
    root_marker = ""

    def __init__(
        self,
        key: str | None = None,
        secret: str | None = None,
        token: str | None = None,
        endpoint_url: str | None = None,
        region: str | None = None,
        anon: bool = False,
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        of_client = dict(client_kwargs or {})
        endpoint_url = endpoint_url or of_client.pop("endpoint_url", None)
        region = region or of_client.pop("region_name", None)
        if unknown := sorted({*of_client, *options}.difference(_OF_FSSPEC)):
            raise ValueError(
                f"s3 takes no {unknown[0]}; it takes key, secret, token, endpoint_url, region, anon"
            )
        server: dict[str, str] = {}
        if endpoint_url or os.environ.get("AWS_ENDPOINT_URL"):
            # Other servers may take the checksums that Amazon's client appends for content.
            os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        if endpoint_url is not None:
            scheme, _, host = endpoint_url.rpartition("://")
            server = {"scheme": scheme or "https", "endpoint_override": host}
        arrow = ArrowS3(
            access_key=key,
            secret_key=secret,
            session_token=token,
            region=region,
            anonymous=anon,
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=_REQUEST_SECONDS,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            allow_delayed_open=True,  # a small object is one request then, and not three
            **server,
        )
        super().__init__(arrow, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: keys need no folders, and a bucket is not made by mistake."""

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Nothing, as `makedirs`."""

    @wrap_exceptions  # type: ignore[untyped-decorator]
    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy an object, on the server."""
        self.fs.copy_file(self._strip_protocol(path1), self._strip_protocol(path2))

    def modified(self, path: str) -> Any:
        """When an object was written.

        Raises:
            FileNotFoundError: There is none.
        """
        if (time := self.info(path)["mtime"]) is None:  # of what keys have before a slash
            raise FileNotFoundError(path)
        return time

    @wrap_exceptions  # type: ignore[untyped-decorator]
    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove an object or, where that is asked for, all below a folder."""
        place = self._strip_protocol(path).rstrip("/")
        (self.fs.delete_dir if recursive else self.fs.delete_file)(place)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """All files below a path, with one request for a thousand of them; globs go by it too."""
        folder = self._strip_protocol(path).rstrip("/")
        told = self.fs.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
        told = told or self.fs.get_file_info([folder])
        found = {info.path: self._make_entry(info) for info in told if info.type is FileType.File}
        if withdirs:
            above = {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}
            for name in above:
                if name.startswith(f"{folder}/"):
                    found[name] = {"name": name, "size": 0, "type": "directory"}
        if maxdepth is not None:
            below = len(folder) + 1
            found = {k: v for k, v in found.items() if k[below:].count("/") < maxdepth}
        return dict(sorted(found.items())) if detail else sorted(found)

    @wrap_exceptions  # type: ignore[untyped-decorator]
    def checksum(self, path: str) -> str:
        """The ETag of an object: another one where the content is another."""
        with self.fs.open_input_stream(self._strip_protocol(path)) as stream:
            return str(stream.metadata()["ETag"].decode().strip('"'))
