"""`kedro new-data FOLDER`: an environment for data of one's own, and what is seen in them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
import pandas as pd
import yaml

from recycling.annotations import (
    AnnotationError,
    Annotations,
    Cleaning,
    ImageFolder,
    check_images,
    check_something_is_left,
    clean,
    read_coco,
    read_pascal_voc,
    read_yolo,
    rule_report,
    what_if,
)
from recycling.annotations.cleaning.report import PLURALS
from recycling.annotations.formats.class_labels import read_class_csv, read_class_folders
from recycling.annotations.formats.recognise import Format, Recognised, Source, recognise
from recycling.errors import printable
from recycling.files import write_text

SHOWN = 10
"""Most categories, sizes and remarks that are printed."""

_DATASETS = {
    "COCO": "CocoDataset",
    "Pascal VOC": "PascalVocDataset",
    "YOLO": "YoloDataset",
    "class folders": "ClassFoldersDataset",
    "CSV": "ClassCsvDataset",
}


@click.command(name="new-data")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--env", default="mine", help="The environment that is written: conf/ENV.")
@click.option("--format", "wanted", type=click.Choice(get_args(Format)), help="If several fit.")
@click.option("--force", is_flag=True, help="Replace the environment, if it is there.")
def new_data(folder: Path, env: str, wanted: Format | None, force: bool) -> None:
    """Recognise the annotations in FOLDER, and write an environment that runs on them.

    COCO, Pascal VOC, YOLO, class folders and a CSV of labels are recognised.
    """
    for line in set_up(folder, Path.cwd(), env=env, wanted=wanted, force=force):
        click.echo(printable(line))


def set_up(
    folder: Path, project: Path, *, env: str = "mine", wanted: Format | None = None,
    force: bool = False,
) -> Iterator[str]:  # fmt: skip
    """Write `conf/ENV` for the data in a folder, and tell line by line what is seen there.

    Nothing is written where the data cannot be read.

    Args:
        folder: With annotations and images.
        project: The project's folder.
        env: The environment's name.
        wanted: The format, where several fit.
        force: Whether to replace an environment that is there.

    Raises:
        AnnotationError: The environment is there, nothing is recognised, or the annotations cannot
            be read; one line.
    """
    target = project / "conf" / env
    if not re.fullmatch(r"[a-z][a-z0-9_]*", env) or env in ("base", "local"):
        raise AnnotationError(f"--env {env}: not a name; lower-case letters, digits and '_'")
    if target.exists() and not force:
        raise AnnotationError(
            f"conf/{env} is there; choose another --env, or --force to replace it"
        )
    folder = folder.expanduser().resolve()
    found = recognise(folder)
    chosen, lines = _chosen(found, wanted, folder)
    yield from lines
    sources = found.sources[chosen]
    read = [_read_as_it_is(source) for source in sources]
    sources = [source for source, _ in read]
    files = _environment(sources, project, env)
    fits = True
    for source, found_there in read:
        fits &= yield from _seen(source, found_there, folder)
    for remark in found.remarks[:SHOWN]:
        yield f"does not fit: {remark}"
    if len(found.remarks) > SHOWN:
        yield f"does not fit: {len(found.remarks) - SHOWN} more"
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(target / name, text)
    yield f"written: conf/{env} ({', '.join(sorted(files))})"
    mended = "" if fits else "put right what does not fit, then "
    yield f"next: {mended}kedro run --env {env} --pipelines data_cleaning,splitting"


def _chosen(found: Recognised, wanted: Format | None, folder: Path) -> tuple[Format, list[str]]:
    """The format, by what was asked for, by asking, or the surest; and what to say about it."""
    formats = list(found.sources)
    if wanted is not None:
        if wanted not in formats:
            raise AnnotationError(f"{folder}: no {wanted} in it; what fits: {', '.join(formats)}")
        return wanted, []
    if len(formats) == 1:
        return formats[0], []
    if sys.stdin.isatty():
        picked = click.prompt(
            f"{folder}: which format?", type=click.Choice(formats), default=formats[0]
        )
        return picked, []
    others = " or ".join(f"--format {json.dumps(name)}" for name in formats[1:])
    return formats[0], [
        f"not sure: {', '.join(formats)} all fit; taken as {formats[0]}, else give {others}"
    ]


def _read_as_it_is(source: Source) -> tuple[Source, Annotations]:
    """The tables, and the source with what its entry needs for them to be read again."""
    if source.format != "COCO":
        return source, _read(source)
    tables = read_coco(source.path, duplicate_ids="renumber")
    if not tables.annotations["extra"].str.contains('"original_id"').any():
        return source, tables
    options = {**source.options, "duplicate_ids": "renumber"}  # which was warned of
    return replace(source, options=options), tables


def _read(source: Source) -> Annotations:
    path, images, options = source.path, source.images, dict(source.options)
    if source.format == "Pascal VOC":
        return read_pascal_voc(path, images)
    if source.format == "class folders":
        return read_class_folders(path)
    if source.format == "CSV":
        return read_class_csv(path, images, **options)
    if "data_yaml" in options:
        return read_yolo(path, images, options["data_yaml"])
    # The names are a file of the environment, which is not written before the labels are read.
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        data_yaml = Path(place) / "data.yaml"
        data_yaml.write_text(_data_yaml(options["names"]), encoding="utf-8")
        return read_yolo(path, images, data_yaml)


# What is seen -----------------------------------------------------------------------------------


def _seen(source: Source, tables: Annotations, folder: Path) -> Generator[str, None, bool]:
    """What is seen, line by line; returns whether it can be cleaned as it is."""
    part, shown = source.part, source.path.relative_to(folder).as_posix()
    yield (
        f"{part}: {source.format} in {shown}: {len(tables.images):,} images, "
        f"{len(tables.annotations):,} annotations, {len(tables.categories)} categories"
    )
    checks = check_images(tables.images, ImageFolder(source.images), missing_folder="warn")
    at_hand = checks.dropna(subset=["width"])
    sizes, whose = (at_hand, "sizes") if len(at_hand) else (tables.images, "sizes by their entries")
    counts = sizes.groupby(["width", "height"]).size().sort_values(ascending=False)
    said = _counted(counts, lambda size: f"{size[0]} x {size[1]}")
    yield f"{part}: images in {source.images}: {whose} {said}"
    objects = tables.annotations[~tables.annotations["iscrowd"]]
    names = tables.categories.set_index("category_id")["name"]
    counts = (
        objects["category_id"].map(names).value_counts().reindex(names.to_numpy(), fill_value=0)
    )
    yield f"{part}: categories: {_counted(counts, str)}"
    for problem, own in checks.dropna(subset=["problem"]).groupby("problem", sort=False):
        files = ", ".join(name[:80] for name in own["file_name"].head(3))
        more = " ..." if len(own) > 3 else ""
        yield f"{part}: does not fit: {len(own)} images: {problem}: {files}{more}"
    rules = Cleaning.model_validate(_RULES[part])
    try:
        cleaned, audit = clean(tables, checks, rules)
        check_something_is_left(cleaned, audit, tables)
        report = rule_report(rules, audit, what_if(tables, checks, rules))
    except AnnotationError as error:
        yield f"{part}: cleaning does not fit: {error}"
        return False
    done = report[report["rows"] > 0]
    for enabled, what in ((True, "cleaning would"), (False, "rules that are off would")):
        rows = done[done["enabled"] == enabled]
        changes = [
            f"{row['rule']}: {row['action']} {row['rows']:,} {PLURALS[row['subject']]}"
            for row in rows.to_dict("records")
        ]
        yield f"{part}: {what}: {'; '.join(changes) or 'change nothing'}"
    return True


def _counted(counts: pd.Series, name: Any) -> str:
    texts = [f"{name(key)[:60] if isinstance(key, str) else name(key)} ({n:,})"
             for key, n in counts.head(SHOWN).items()]  # fmt: skip
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    return (", ".join(texts) or "none") + more


# What is written --------------------------------------------------------------------------------

_PREDICTED_ON: dict[str, Any] = {
    "drop_duplicate_images": {"enabled": False},
    "drop_duplicate_annotations": {"enabled": False},
}
_RULES: dict[str, dict[str, Any]] = {"train": {}, "test": _PREDICTED_ON, "pool": _PREDICTED_ON}


def _environment(sources: list[Source], project: Path, env: str) -> dict[str, str]:
    """The files of the environment, by name."""
    by_part = {source.part: source for source in sources}
    promise = "{precision: 0.9, confidence: 0.9}"
    rounds = f"\n  pseudo: {{promise: {promise}}}" if "pool" in by_part else " {}"
    files = {
        "globals.yml": (
            "# Where everything that a run makes is kept.\n"
            f"data: data/{env}\n"
            "# Where is stored what was decided on: category shares, corrections.\n"
            f"baselines: conf/{env}/baselines\n"
        ),
        "models.yml": (
            "# Models to train: one entry each, see conf/base/models.yml and docs/models.md. They\n"
            "# need a test part in catalog_data.yml.\n"
            "models: {}\n"
        ),
        "parameters_pseudo_labeling.yml": (
            "# Rounds of pseudo-labels: see conf/base/parameters_pseudo_labeling.yml. They need a\n"
            "# pool in catalog_data.yml; without one there are none: {}.\n"
            f"pseudo_labeling:{rounds}\n"
        ),
        "parameters_cleaning.yml": (
            "# Rules of cleaning: see conf/base/parameters_cleaning.yml. To merge or rename\n"
            "# categories: fix_categories, as in conf/taco.\n"
            "cleaning:\n"
            "  train: {}\n"
            "  test: &unlabeled\n"
            "    drop_duplicate_images: {enabled: false}\n"
            "    drop_duplicate_annotations: {enabled: false}\n"
            "  pool: *unlabeled\n"
        ),
    }
    names = next((s.options["names"] for s in sources if "names" in s.options), None)
    if names is not None:
        files["data.yaml"] = _data_yaml(names)
    entries = [
        "# What `kedro new-data` recognised. `train` is labelled, `test` never trained on.\n"
    ]
    for part in ("train", "pool", "test"):
        source = by_part.get(part)
        entries.append(
            _missing(part, by_part["train"], project)
            if source is None
            else _entry(source, project, env)
        )
    files["catalog_data.yml"] = "\n".join(entries)
    return files


def _entry(source: Source, project: Path, env: str) -> str:
    options: dict[str, Any] = {}
    images = _path(source.images, project)
    if source.format in ("Pascal VOC", "YOLO", "CSV"):
        options["images"] = _absolute_or_beside(source.images, source.path)
    if source.format == "YOLO":
        data_yaml = source.options.get("data_yaml", project / "conf" / env / "data.yaml")
        options["data_yaml"] = _absolute_or_beside(data_yaml, source.path)
    if source.format in ("COCO", "CSV"):
        options |= source.options
    lines = [
        f"{source.part}.raw_annotations:",
        f"  type: recycling.datasets.{_DATASETS[source.format]}",
        f"  filepath: {json.dumps(_path(source.path, project), ensure_ascii=False)}",
        *(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()),
    ]
    if source.part == "train":
        lines += [
            "  validator:",
            "    class: recycling.validation.AnnotationsValidator",
            '    "on": [load]',
            "    options:",
            "      name: train.raw_annotations",
            "      data_docs: ${globals:data}/08_reporting/data_docs",
            "      # Cleaning mends what is wrong, all but this:",
            "      warn: [images, categories, annotations]",
            "      stop: [images.rows, categories.rows, annotations.image_name, "
            "annotations.category_name]",
        ]
    lines += [
        "  metadata: {kedro-viz: {layer: raw}}",
        "",
        f"{source.part}.images:",
        "  type: recycling.datasets.ImageFolderDataset",
        f"  filepath: {json.dumps(images, ensure_ascii=False)}",
        "  metadata: {kedro-viz: {layer: raw}}",
        "",
    ]
    return "\n".join(lines)


def _missing(part: str, train: Source, project: Path) -> str:
    """An entry of a part that was not found: a run that needs it says that it is not there."""
    root = _path(train.images.parent, project)
    needed_by = "rounds of pseudo-labels" if part == "pool" else "models"
    share = (
        "#\n# One file can serve as several parts: see `share` in conf/taco/catalog_data.yml.\n"
        if train.format == "COCO"
        else ""
    )
    return (
        f"# There is no {part} part yet; {needed_by} need one. Put it here, or change the paths.\n"
        f"{share}{part}.raw_annotations:\n"
        "  type: recycling.datasets.CocoDataset\n"
        f"  filepath: {json.dumps(f'{root}/{part}.json', ensure_ascii=False)}\n"
        "  metadata: {kedro-viz: {layer: raw}}\n\n"
        f"{part}.images:\n"
        "  type: recycling.datasets.ImageFolderDataset\n"
        f"  filepath: {json.dumps(f'{root}/{part}', ensure_ascii=False)}\n"
        "  metadata: {kedro-viz: {layer: raw}}\n"
    )


def _data_yaml(names: list[str]) -> str:
    own = yaml.safe_dump({"names": names}, allow_unicode=True, default_flow_style=None)
    return f"# The names of the classes, in their order.\n{own}"


def _path(path: Path, project: Path) -> str:
    """Seen from the project, where it lies inside."""
    inside = path.is_relative_to(project)
    return (path.relative_to(project) if inside else path).as_posix()


def _absolute_or_beside(path: Path, entry: Path) -> str:
    """Seen from the folder that an entry's file is in, where it lies below."""
    inside = path.is_relative_to(entry.parent)
    return (path.relative_to(entry.parent) if inside else path.resolve()).as_posix()
