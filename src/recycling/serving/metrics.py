"""Figures of a service for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PATHS = ("/", "/predict", "/models", "/health", "/metrics", "/docs", "/openapi.json")


class Metrics:
    """What is counted, of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recycling_requests", "Requests, by path and status.", ["path", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "recycling_request_seconds", "Until a request was answered.", ["path"],
            registry=self.registry,
        )  # fmt: skip
        self.images = Counter(
            "recycling_images", "Images that were predicted.", ["model", "version"],
            registry=self.registry,
        )  # fmt: skip
        self.batch = Histogram(
            "recycling_batch_images", "Images that were predicted together.", ["model", "version"],
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "recycling_waiting_images", "Images that wait to be predicted.", ["model", "version"],
            registry=self.registry,
        )  # fmt: skip

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        path = path if path in _PATHS else "other"  # anybody can ask for any number of paths
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def predicted(self, model: str, version: str, images: int) -> None:
        """Count a batch."""
        self.images.labels(model, version).inc(images)
        self.batch.labels(model, version).observe(images)
