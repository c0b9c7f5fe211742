"""`kedro predict`: what a model or an ensemble finds on any images."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import Finite, log_to_stderr, one_line_errors
from recycling.cli.place import Place, place_of

if TYPE_CHECKING:
    from recycling.inference import Predictor
    from recycling.inference.objects import Proposals
    from recycling.inference.outputs import Output
    from recycling.inference.parts import Parts, Predicted
    from recycling.inference.sources import Decoded, Source

FORMATS = "coco,csv,summary"
BOXES_FROM = 0.3
"""The least score of boxes, where none is given: as in the reports' images."""

SHOWN = 10
"""Unreadable files that the console shows; a file has all."""


@click.command()
@env_option
@click.argument("paths", nargs=-1, required=True)
@click.option("--with", "name", required=True, help="det.final, det.yolox.fold0, an exported file.")
@click.option("--to", type=click.Path(path_type=Path), help="The folder that is written.")
@click.option(
    "--formats", help=f"Of coco, csv, images, label_studio, maps, parquet, summary; {FORMATS}."
)
@click.option("--score-threshold", type=Finite(0, 1), help="Boxes from 0.3, classes all.")
@click.option("--promised-precision", type=Finite(), help="Instead: which share of them is right.")
@click.option("--least-sure", type=click.IntRange(min=1), help="Write so many images, no others.")
@click.option(
    "--tiles", type=click.IntRange(min=32), help="Side of tiles for large images, pixels."
)
@click.option("--overlap", default=0.2, type=Finite(0, 0.9), help="What tiles share.")
@click.option("--crops-of", help="A classifier looks at the boxes of this detector.")
@click.option("--crops-from", default=BOXES_FROM, type=Finite(0, 1), help="Their score.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at a time; as in training.")
@click.option("--device", help="cpu, cuda, cuda:1; a GPU where there is one.")
@one_line_errors
def predict(env: str | None, paths: tuple[str, ...], name: str, **options: Any) -> None:
    """Predict on the images in PATHS: folders, files, globs, addresses.

    What is written already is not predicted again.
    """
    from recycling.inference import InferenceError

    log_to_stderr()
    asked = _Options(**options)
    if asked.score_threshold is not None and asked.promised_precision is not None:
        raise InferenceError("give --score-threshold or --promised-precision, not both")
    if asked.promised_precision is not None:
        _check_promise(asked)
    with place_of(env, [name, *filter(None, [asked.crops_of])]) as place:
        if not _predict(place, paths, name, asked):
            sys.exit(1)


@dataclass(frozen=True)
class _Options:
    """The options of the command, by their names."""

    to: Path | None
    formats: str | None
    score_threshold: float | None
    promised_precision: float | None
    least_sure: int | None
    tiles: int | None
    overlap: float
    crops_of: str | None
    crops_from: float
    batch_size: int | None
    device: str | None


def _check_promise(asked: _Options) -> None:
    """Refuse what a promise cannot be given of: it holds of what its thresholds were learnt on."""
    from recycling.inference import InferenceError

    assert asked.promised_precision is not None
    if not 0 < asked.promised_precision < 1:
        raise InferenceError("--promised-precision: give a number above 0 and below 1")
    if asked.tiles is not None:
        raise InferenceError(
            "--promised-precision: it is learnt on whole images, and says nothing of --tiles; give "
            "a --score-threshold"
        )
    if asked.crops_of is not None:
        raise InferenceError(
            "--promised-precision: it is learnt on annotated crops, and says nothing of "
            "--crops-of; give a --score-threshold"
        )


def _predict(place: Place, paths: Sequence[str], name: str, asked: _Options) -> bool:
    """Predict, write and tell; whether anything could be predicted."""
    from recycling.fingerprints import Locks
    from recycling.inference import InferenceError
    from recycling.inference.outputs import check_apart, outputs_of
    from recycling.inference.parts import Parts
    from recycling.inference.sources import find_images
    from recycling.predictors import promised_thresholds, task_of

    task = task_of(name, place.plan)
    if asked.least_sure is not None and task == "seg":
        raise InferenceError(
            "--least-sure: the regions of a segmenter have no scores; choose by a detector"
        )
    outputs = outputs_of(_formats(asked, task), task)
    folder = asked.to or place.folder("07_model_output/predicted") / Path(name).name
    sources = find_images(paths, folder)
    check_apart(sources, folder)
    promise = None
    if asked.promised_precision is not None:
        precision = asked.promised_precision
        promise = promised_thresholds(name, place.plan, place.catalog, precision, place.records)
    predictor, proposals = _loaded(name, asked, place.plan, place.catalog)
    parts = Parts(folder / ".parts", _identity(predictor, proposals))
    locks = Locks(parts.folder)
    locks.acquire({"predictions": True})  # whoever ends removes the parts of others
    try:
        missing = parts.missing(sources)
        n_known = len(sources) - len(missing)
        click.echo(f"{len(sources):,} images, {n_known:,} are predicted already")
        unreadable = _predict_missing(predictor, proposals, missing, parts)
        predicted = parts.load(sources, task, predictor.categories)
        if len(predicted.images):
            _write(_kept(predicted, asked, promise), outputs, folder)
            parts.remove_others()
        _say_unreadable(unreadable, folder)
    finally:
        locks.release()
    return bool(len(predicted.images))


def _write(kept: Predicted, outputs: Mapping[str, Output], folder: Path) -> None:
    from recycling.inference.outputs import left_by_others

    for each in outputs.values():
        click.echo(f"written: {_shown(each.write(kept, folder))}")
    if left := left_by_others(outputs, folder):
        click.echo(f"left from an earlier command, and not of this one: {', '.join(left)}")
    _say_counts(kept)


def _formats(asked: _Options, task: str) -> list[str]:
    from recycling.inference import InferenceError

    names = asked.formats or (f"{FORMATS},maps" if task == "seg" else FORMATS)
    asked_for = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    if not asked_for:
        raise InferenceError(f"--formats: {names!r} names none; give some of {FORMATS}")
    return asked_for


def _loaded(
    name: str, asked: _Options, plan: Any, catalog: Any
) -> tuple[Predictor, Proposals | None]:
    """What predicts, and what proposes the boxes that it looks at."""
    from recycling.inference import InferenceError, Tiles
    from recycling.inference.objects import Proposals
    from recycling.predictors import Loading, predictor_of, task_of

    tiles = None if asked.tiles is None else Tiles(size=asked.tiles, overlap=asked.overlap)
    loading = Loading(asked.device, asked.batch_size, tiles)
    if asked.crops_of is None:
        return predictor_of(name, plan, catalog, loading), None
    if (task_of(name, plan), task_of(asked.crops_of, plan)) != ("cls", "det"):
        raise InferenceError("--crops-of: a detector, whose boxes a classifier (--with) looks at")
    whole = Loading(asked.device, asked.batch_size)
    detector = predictor_of(asked.crops_of, plan, catalog, loading)
    return predictor_of(name, plan, catalog, whole), Proposals(detector, asked.crops_from)


def _identity(predictor: Predictor, proposals: Proposals | None) -> str:
    if proposals is None:
        return predictor.identity
    return f"{predictor.identity} {proposals.detector.identity} {proposals.score_threshold}"


def _predict_missing(
    predictor: Predictor, proposals: Proposals | None, sources: Sequence[Source], parts: Parts
) -> list[Decoded]:
    """Predict on what is in no part yet; gives those that cannot be read or predicted."""
    from recycling.inference.sources import decoded_together
    from recycling.progress import progress_bar

    unreadable: list[Decoded] = []
    with progress_bar() as progress:
        line = progress.add_task("predicting", total=len(sources), note="")
        for together in decoded_together(sources):
            read = [each for each in together if each.pixels is not None]
            unreadable += [each for each in together if each.pixels is None]
            if read:
                unreadable += _predict_part(predictor, proposals, read, parts)
            progress.advance(line, len(together))
    return unreadable


def _predict_part(
    predictor: Predictor, proposals: Proposals | None, read: Sequence[Decoded], parts: Parts
) -> list[Decoded]:
    """Predict on some images together; gives those that the model fails on alone, too."""
    from recycling.errors import message_for_user, one_line
    from recycling.inference import in_memory
    from recycling.inference.objects import find_objects

    pixels = [each.pixels for each in read if each.pixels is not None]
    images = in_memory(pixels, [each.source.name for each in read])
    try:
        found = find_objects(predictor, images, proposals)
    except Exception as error:  # each library has errors of its own
        if message_for_user(error) is not None:
            raise
        if half := len(read) // 2:
            halves = (read[:half], read[half:])
            failed = [_predict_part(predictor, proposals, some, parts) for some in halves]
            return [*failed[0], *failed[1]]
        fault = f"the model fails on it: {one_line(f'{type(error).__name__}: {error}')}"
        return [replace(read[0], fault=fault)]
    parts.add([each.source for each in read], images.table, found)
    return []


def _kept(predicted: Predicted, asked: _Options, promise: Any) -> Predicted:
    """What is sure enough, of the images that are asked for."""
    from recycling.inference.sureness import least_sure

    kept = _sure(predicted, asked, promise)
    return kept if asked.least_sure is None else least_sure(kept, asked.least_sure)


def _sure(predicted: Predicted, asked: _Options, promise: Any) -> Predicted:
    """What is sure enough."""
    from recycling.errors import printable
    from recycling.inference.thresholds import above, promise_lines, promised

    if promise is None:
        least = BOXES_FROM if predicted.task == "det" else 0.0
        return above(predicted, least if asked.score_threshold is None else asked.score_threshold)
    thresholds, settings, doubts = promise
    for line in promise_lines(thresholds, predicted.task, doubts):
        click.echo(printable(line))
    kept, beyond = promised(predicted, thresholds, settings)
    if beyond:
        click.echo(
            f"{beyond:,} more are as sure and left out: the promise is of the {settings.cap} "
            "surest of a category on an image"
        )
    return kept


def _say_counts(predicted: Predicted) -> None:
    from recycling.cli.experiments import print_table
    from recycling.inference.outputs import by_category

    table = by_category(predicted)
    print_table(table.assign(area=[f"{share:.1%}" for share in table["area"]]))


def _say_unreadable(unreadable: Sequence[Decoded], folder: Path) -> None:
    """List what could not be read or predicted, and why; the whole list is a file."""
    import pandas as pd

    from recycling.files import new_file
    from recycling.names import shown_name

    path = folder / "unreadable.csv"
    if not unreadable:
        path.unlink(missing_ok=True)
        return
    click.echo(f"cannot be read or predicted: {len(unreadable):,} of the images", err=True)
    for each in unreadable[:SHOWN]:
        click.echo(f"  {shown_name(each.source.name)}: {each.fault}", err=True)
    rows = [(each.source.name, each.fault) for each in unreadable]
    with new_file(path) as unfinished:
        table = pd.DataFrame(rows, columns=["file_name", "fault"], dtype=object)
        table.to_csv(unfinished, index=False, errors="backslashreplace")
    click.echo(f"written: {_shown(path)}", err=True)


def _shown(path: Path) -> str:
    from recycling.plan.parameters import shown

    return shown(path)
