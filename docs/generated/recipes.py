"""The page of all recipes, from the comments that they begin with."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from recycling.backends import Recipes
from recycling.backends.shared.recipes import N_CLASSES, RecipeFacts, list_recipes

FOLDER = Path(__file__).parents[2] / "conf/recipes"

TITLES = {"cls": "Classifiers", "det": "Detectors", "seg": "Segmenters"}

HEADINGS = ("`recipe`", "what it is", "parameters", "reports", "weights")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to the site."""
    files.append(File.generated(config, "recipes.md", content=recipes_page()))
    return files


def recipes_page() -> str:
    """The page, in Markdown: a table for each library."""
    found = list_recipes(Recipes(FOLDER))
    counted = ", ".join(f"{n} for `{task}`" for task, n in N_CLASSES.items())
    lines = [
        "# The zoo",
        "",
        f"{len(found)} recipes, as `kedro recipes` lists them. Parameters are millions, with as "
        f"many classes as the reports had ({counted}). Weights are what `pretrained: default` "
        "takes. Letters are those of the [five reports](reports.md).",
        "",
    ]
    for (task, backend), recipes in groupby(found, lambda recipe: (recipe.task, recipe.backend)):
        lines += [f"## {TITLES[task]}: `backend: {backend}`", "", f"| {' | '.join(HEADINGS)} |"]
        lines += ["|---|---|---:|---|---|", *map(_row, recipes), ""]
    return "\n".join(lines)


def _row(recipe: RecipeFacts) -> str:
    parameters = "" if recipe.parameters is None else f"{recipe.parameters / 1e6:.1f}"
    weights = "<br>".join(recipe.weights or ()) or "none"
    if recipe.licence is not None:
        weights += f" ({recipe.licence})"
    reports = ", ".join(recipe.reports or ()) or "none"
    about = recipe.about if recipe.score is None else f"{recipe.about} Published: {recipe.score}."
    cells = (f"`{recipe.name}`", about, parameters, reports, weights)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
