"""What a service takes, and how it says what it does not."""

from __future__ import annotations

from pydantic import Field

from recycling.registry import Strict


class ServingError(ValueError):
    """A service cannot be started: one line, what is wrong, what to do."""


class Refused(Exception):  # noqa: N818  # an answer, not a fault
    """A request is not answered as asked.

    Attributes:
        status: The status of HTTP.
        reason: Why, in a sentence for who sent it.
        retry_after: Seconds after which it may be sent again.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry_after = status, reason, retry_after


class ServiceLimits(Strict):
    """How much a service takes.

    Attributes:
        max_bytes: Of a request (413).
        max_pixels: Of an image, width times height (413); see `pixels_together`, too.
        max_images: In a zip file (413).
        seconds: Until a request is answered; what takes longer is given up (503). As long may its
            upload take (408).
        per_minute: Requests of one address (429); 0 for any number.
        queue: Million pixels of images that wait to be predicted and answered, of all requests
            together; more are turned away (503). A pixel takes 3 bytes: by default that is 1 GB. As
            many million bytes of requests are kept; see `bytes_waiting`.
        uploads: Requests that are received and answered at a time; more are turned away (503).
    """

    max_bytes: int = Field(default=20 << 20, ge=1)
    max_pixels: int = Field(default=40_000_000, ge=1)
    max_images: int = Field(default=64, ge=1)
    seconds: float = Field(default=30, gt=0)
    per_minute: int = Field(default=600, ge=0)
    queue: int = Field(default=330, ge=1)
    uploads: int = Field(default=128, ge=1)

    @property
    def pixels_waiting(self) -> int:
        """Of images that wait, of all requests together."""
        return self.queue * 1_000_000

    @property
    def bytes_waiting(self) -> int:
        """Of requests that were received and are not yet answered, of all together (503)."""
        return max(self.max_bytes, self.queue * 1_000_000)

    @property
    def pixels_together(self) -> int:
        """Of the images of one request (413): more would never find room to wait."""
        return min(4 * self.max_pixels, self.pixels_waiting)
