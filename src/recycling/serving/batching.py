"""Predicting in batches across requests: what arrives while one is computed is the next."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycling.inference import Predictor, in_memory
from recycling.inference.objects import Found, find_objects
from recycling.predictions import LabelMap
from recycling.progress import without_lines
from recycling.serving.core import Refused

Pixels = NDArray[np.uint8]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """What was found on the images of a request.

    Attributes:
        objects: Of each image, the rows of `OBJECTS`, the surest first.
        maps: Of each image, its label map, where a segmenter predicts.
    """

    objects: Sequence[Sequence[Mapping[str, Any]]]
    maps: Sequence[LabelMap] | None = None

    def part(self, first: int, n: int) -> Findings:
        """What was found on `n` of the images."""
        some = slice(first, first + n)
        return Findings(self.objects[some], None if self.maps is None else self.maps[some])


@dataclass(frozen=True)
class _Job:
    """The images of one request.

    Attributes:
        images: Each (H, W, 3) RGB.
        found: Will be what is on them.
    """

    images: Sequence[Pixels]
    found: Future[Findings] = field(default_factory=Future)


class Batcher:
    """A thread that predicts, and a queue before it. How long that may be, `Room` says.

    Args:
        predictor: Predicts; in this thread alone.
        batch_size: Images that are predicted together at most; a request with more goes alone.
        tell: Is told how many images each batch has that was predicted.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        batch_size: int,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.predictor, self.batch_size, self.tell = predictor, batch_size, tell
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=predictor.name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait."""
        with self._changed:
            return sum(len(job.images) for job in self._jobs)

    def submit(self, images: Sequence[Pixels]) -> Future[Findings]:
        """Let images be predicted.

        Args:
            images: Each (H, W, 3) RGB.

        Returns:
            What will be found on them; cancelled, they are let go, and not looked at.

        Raises:
            Refused: The service ends (503).
        """
        job = _Job(images)
        with self._changed:
            if self._closed:
                raise Refused(503, "the service ends; try again later", 1)
            self._jobs.append(job)
            self._changed.notify()
        job.found.add_done_callback(self._forget)
        return job.found

    def close(self) -> None:
        """Predict what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _forget(self, found: Future[Findings]) -> None:
        """Let go of the images of a request that was cancelled while it waited."""
        if found.cancelled():
            with self._changed:
                self._jobs = deque(job for job in self._jobs if job.found is not found)

    def _work(self) -> None:
        with without_lines():  # a line a batch would fill the console
            while jobs := self._next():
                self._predict(jobs)

    def _next(self) -> list[_Job]:
        """The next batch, as soon as there is anything; nothing once the queue is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                jobs: list[_Job] = []
                n = 0
                while self._jobs and (not jobs or n + len(self._jobs[0].images) <= self.batch_size):
                    job = self._jobs.popleft()
                    if job.found.set_running_or_notify_cancel():
                        jobs.append(job)
                        n += len(job.images)
                if jobs or self._closed:
                    return jobs

    def _predict(self, jobs: Sequence[_Job]) -> None:
        images = [image for job in jobs for image in job.images]
        try:
            found = _by_image(find_objects(self.predictor, in_memory(images)), len(images))
        except Exception as error:
            if len(jobs) == 1:
                _LOG.exception("%s cannot predict", self.predictor.name)
                jobs[0].found.set_exception(error)
                return
            for job in jobs:  # one of them may be to blame
                self._predict([job])
            return
        self.tell(len(images))
        first = 0
        for job in jobs:
            job.found.set_result(found.part(first, len(job.images)))
            first += len(job.images)


def _by_image(found: Found, n: int) -> Findings:
    """What was found on images that are numbered from 1; a table once, and not one a request."""
    objects: list[list[Mapping[str, Any]]] = [[] for _ in range(n)]
    surest_first = found.objects.sort_values("score", ascending=False, kind="stable")
    for row in surest_first.to_dict("records"):
        objects[row["image_id"] - 1].append(row)
    if found.maps is None:
        return Findings(objects)
    return Findings(objects, [found.maps[number] for number in range(1, n + 1)])
