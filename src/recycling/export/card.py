"""The card of an exported model: what it is for, what it was made of, and how good it is.

After Mitchell et al., Model Cards for Model Reporting, 2019 (https://arxiv.org/abs/1810.03993).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from recycling.experiments.manifest import Manifest
from recycling.inference.exported import Exported

PREDICTS = {
    "cls": "the class of a crop, or of a whole photograph of one object",
    "det": "boxes around objects, with their class and a score",
    "seg": "the class of each pixel",
}
NOT_STATED = "not stated; ask whoever gave them to you before you pass the model on"

WEAKEST = 3
"""Categories that the card names as those it knows least."""


def run_of(exported: Exported, runs: Mapping[str, Manifest]) -> Manifest | None:
    """The newest run that trained the weights of an exported model; None where it is gone.

    Args:
        exported: What the file says about itself.
        runs: The manifests of all runs, the oldest first.
    """
    for manifest in reversed(list(runs.values())):
        training = manifest.trainings.get(f"{exported.name}.checkpoint", {})
        if training.get("weights_sha256") == exported.source.get("weights_sha256"):
            return manifest
    return None


def model_card(
    exported: Exported, manifest: Manifest | None, *, licence_of_data: str | None = None
) -> str:
    """The card, in Markdown.

    Args:
        exported: What the file says about itself.
        manifest: Of the run that trained it; None where it is gone.
        licence_of_data: Of the images and annotations, where it is known.
    """
    scores = {} if manifest is None else _scores_in(manifest, exported.name)
    names = [category.name for category in exported.categories]
    parts = [
        f"# {exported.name}\n",
        f"Predicts {PREDICTS[exported.task]}: {', '.join(names)}.\n",
        _section("Intended use", _use(exported)),
        _section("Scores", _scores(scores)),
        _section("Known mistakes", _mistakes(scores)),
        _section("Data", _data(exported, manifest, licence_of_data)),
        _section("Weights and libraries", _libraries(exported)),
    ]
    return "\n".join(parts)


def _scores_in(manifest: Manifest, name: str) -> dict[str, Mapping[str, Any]]:
    """What a model scored in a run, by what it was scored on."""
    parts = {"test images": "test_metrics", "held-out images": "out_of_fold_metrics"}
    every = {part: manifest.scores.get(f"{name}.{key}") for part, key in parts.items()}
    return {part: each for part, each in every.items() if each and each.get("score") is not None}


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _use(exported: Exported) -> list[str]:
    return [
        "To sort and count waste on photographs like those it was trained on, where somebody looks "
        "at what matters. Other cameras, places and kinds of waste were not tried: score it on "
        "labelled images of your own first.",
        "",
        f"The network sees the longer side of an image as {exported.image_size} pixels: what is "
        "only a few pixels large then is not found.",
    ]


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not scores:
        return ["It was not scored."]
    rows = ["| on | metric | score | 95 % interval |", "|---|---|---|---|"]
    for part, each in scores.items():
        low, high = each.get("interval") or (None, None)
        interval = "-" if low is None else f"{low:.3f} to {high:.3f}"
        rows.append(f"| {part} | {each['metric']} | {each['score']:.3f} | {interval} |")
    return rows


def _mistakes(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for part, each in scores.items():
        known = {
            name: score for name, score in each.get("per_class", {}).items() if score is not None
        }
        weakest = sorted(known, key=lambda name: known[name])[:WEAKEST]
        told = ", ".join(f"{name} ({known[name]:.2f})" for name in weakest)
        if told:
            lines.append(f"- On {part} it knows least: {told}, by {each['metric']}.")
        sizes = {
            key.rpartition("_")[2]: value
            for key, value in each.get("details", {}).items()
            if key.startswith(f"{each['metric']}_") and value is not None
        }
        if sizes:
            by_size = ", ".join(f"{size} {value:.2f}" for size, value in sizes.items())
            lines.append(f"- By size of objects on {part}: {by_size}.")
    return lines or ["None are known, because it was not scored."]


def _data(exported: Exported, manifest: Manifest | None, licence: str | None) -> list[str]:
    source = exported.source
    samples = f"{source['n_samples']:,} images or crops" if "n_samples" in source else "Images"
    lines = [
        f"- {samples}; sha256 of what was learnt: `{source.get('training_sha256', 'not known')}`.",
        f"- Licence of the data: {licence or NOT_STATED}.",
    ]
    if manifest is not None:
        commit = f", commit `{manifest.commit[:12]}`" if manifest.commit else ""
        lines.append(f"- Trained by the run `{manifest.run_id}`{commit}.")
    return lines


def _libraries(exported: Exported) -> list[str]:
    source = exported.source
    start = source.get("pretrained", "none")
    from_where = {
        "none": "from nothing; no others' weights are in it",
        "default": f"from the official weights of the recipe; their licence: {NOT_STATED}",
    }.get(start, f"from `{start}`; what holds of it holds here")
    lines = [
        f"- Recipe `{source.get('recipe')}` of {source.get('backend')}, trained {from_where}.",
        f"- sha256 of the weights: `{source.get('weights_sha256')}`.",
        "",
        "| library | version | licence |",
        "|---|---|---|",
    ]
    for name, version in source.get("libraries", {}).items():
        lines.append(f"| {name} | {version} | {_licence(name)} |")
    return lines


_PACKAGES = {
    "mmcv": "onedl-mmcv",
    "mmdet": "onedl-mmdetection",
    "mmengine": "onedl-mmengine",
    "mmpretrain": "onedl-mmpretrain",
    "mmseg": "onedl-mmsegmentation",
}


def _licence(name: str) -> str:
    """What an installed package says of its licence, in a few words."""
    try:
        told = metadata(_PACKAGES.get(name, name))
    except PackageNotFoundError:
        return "not known"
    classifiers = told.get_all("Classifier") or []
    ends = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    texts = told.get_all("License-Expression") or ends or told.get_all("License") or ["not known"]
    return str(texts[0]).splitlines()[0][:60]
