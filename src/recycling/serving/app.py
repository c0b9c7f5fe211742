"""The addresses of the service.

Annotations are not postponed here: FastAPI reads those of the functions that answer.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, HTTPException, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

import recycling
from recycling.inference import Predictor
from recycling.serving.answers import Form, answer
from recycling.serving.core import Refused, ServiceLimits
from recycling.serving.gate import ASSETS, Application, Gate
from recycling.serving.metrics import Metrics
from recycling.serving.models import ServedModels
from recycling.serving.room import Room
from recycling.serving.uploads import read_upload

_PAGE = Path(__file__).parent / "templates" / "photograph.html"

BOXES_FROM = 0.3
"""The least score of boxes, where none is asked for: as `kedro predict` has it."""


class FoundObject(BaseModel):
    """An object: corners of its box `x_min, y_min, x_max, y_max` and its area, in pixels."""

    category: str
    score: float | None
    box: tuple[float, float, float, float]
    area: float


class FoundOnImage(BaseModel):
    """What is on an image."""

    file_name: str
    width: int
    height: int
    objects: list[FoundObject]


class Unreadable(BaseModel):
    """A file of a zip file that cannot be read."""

    file_name: str
    reason: str


class Prediction(BaseModel):
    """What is on the images of a request."""

    model: str
    version: str
    images: list[FoundOnImage]
    unreadable: list[Unreadable]


class Reason(BaseModel):
    """Why a request is not answered as asked."""

    reason: str


class ModelFacts(BaseModel):
    """A model that is served."""

    name: str
    version: str
    task: str
    categories: list[str]


_REASONS: dict[int | str, dict[str, Any]] = {
    401: {"model": Reason, "description": "The token is missing or another"},
    403: {"model": Reason, "description": "Asked from elsewhere, or by a page of another address"},
    404: {"model": Reason, "description": "No such model or version"},
    408: {"model": Reason, "description": "Not received in time"},
    413: {"model": Reason, "description": "Too many bytes, pixels or images"},
    415: {"model": Reason, "description": "No image, and no zip file of images"},
    422: {"model": Reason, "description": "A parameter has no such value"},
    429: {"model": Reason, "description": "Too many requests"},
    503: {"model": Reason, "description": "Too much to do; or not answered in time"},
}
_EXAMPLE = {
    "model": "det.yolox.fold0", "version": "0c1f5c2b9a7e",
    "images": [{
        "file_name": "street.jpg", "width": 512, "height": 512,
        "objects": [{"category": "Metal", "score": 0.91, "box": [12, 30.5, 80, 99], "area": 4658}],
    }],
    "unreadable": [],
}  # fmt: skip


def application(
    predictors: Sequence[Predictor],
    limits: ServiceLimits | None = None,
    *,
    batch_size: int = 8,
    token: str | None = None,
    here: bool = False,
) -> Application:
    """The service.

    Args:
        predictors: The models; the first, and of a name its first, is taken where none is asked
            for.
        limits: How much is taken.
        batch_size: Images that are predicted together at most.
        token: What others have to send; None lets everybody in.
        here: Whether this machine alone may ask, and no page of another address.

    Raises:
        ServingError: There is no model, or one is there twice.
    """
    limits = limits or ServiceLimits()
    metrics = Metrics()
    models = ServedModels(predictors, batch_size=batch_size, tell=metrics.predicted)
    room = Room(limits.pixels_waiting, "pixels")
    # What is given up goes on in its thread: the place that it has there is free when it ends.
    reading, answering = ThreadPoolExecutor(4), ThreadPoolExecutor(4)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(models.close)
        for threads in (reading, answering):
            threads.shutdown(wait=False, cancel_futures=True)

    # Its page on the API, /docs, asks nobody else for scripts.
    app = FastAPIOffline(
        redoc_url=None,
        static_url=ASSETS,
        title="recycling",
        version=recycling.__version__,
        description="What waste is on photographs.",
        lifespan=running,
        # The gate has looked at the token; this lets the page on the API send one.
        dependencies=[] if token is None else [Depends(HTTPBearer(auto_error=False))],
    )
    _add_reasons(app)

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"))

    @app.get("/health")
    def health() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok"}

    @app.get("/models", responses={key: _REASONS[key] for key in (401, 403, 429)})
    def list_models() -> list[ModelFacts]:
        """The models; the first, and of a name its first, is taken where none is asked for."""
        return [ModelFacts(**each.described()) for each in models.models]

    @app.get("/metrics", response_class=Response)
    def figures() -> Response:
        """Figures for Prometheus."""
        for each in models.models:
            waiting = metrics.waiting.labels(each.predictor.name, each.version)
            waiting.set(each.batcher.waiting)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post(
        "/predict",
        response_model=Prediction,
        responses={
            200: {
                "description": "What is on the images",
                "content": {
                    "application/json": {"example": _EXAMPLE},
                    "image/png": {},
                    "application/zip": {},
                },
            },
            **_REASONS,
        },
    )
    async def predict(
        file: Annotated[UploadFile, File(description="An image, or a zip file of images.")],
        model: Annotated[str | None, Query(description="Its name; see /models.")] = None,
        version: Annotated[str | None, Query(description="Its version; see /models.")] = None,
        form: Annotated[
            Form, Query(alias="format", description="JSON, COCO, or the images drawn on.")
        ] = "json",
        score_threshold: Annotated[
            float | None, Query(ge=0, le=1, description="Boxes from 0.3, classes all.")
        ] = None,
    ) -> Response:
        """What is on an image, or on each image of a zip file."""
        served = models.find(model, version)
        least = BOXES_FROM if served.predictor.task == "det" else 0.0
        least = least if score_threshold is None else score_threshold
        content, name = await file.read(), file.filename or "image"
        in_thread = asyncio.get_running_loop().run_in_executor
        try:
            async with asyncio.timeout(limits.seconds):
                upload = await in_thread(reading, read_upload, content, name, limits)
                with room.taken(upload.n_pixels):
                    found = await asyncio.wrap_future(served.batcher.submit(upload.images))
                    said = await in_thread(
                        answering, answer, form, upload, found, served.predictor, least
                    )
        except TimeoutError as error:
            why = f"not answered within {limits.seconds:g} s; try again later"
            raise Refused(503, why, 1) from error
        return Response(said.content, media_type=said.media_type)

    return Gate(app, limits, token, metrics.answered, here=here)


def _add_reasons(app: FastAPI) -> None:
    """Let each refusal say its reason in JSON."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return JSONResponse({"reason": error.reason}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return JSONResponse({"reason": f"{where}: {first['msg']}"}, 422)

    @app.exception_handler(StarletteHTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"reason": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"reason": "a fault of the service; its log says more"}, 500)
