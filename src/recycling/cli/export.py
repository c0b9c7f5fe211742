"""`kedro export`: trained models as ONNX files, which predict without the training libraries."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.framework.cli.utils import env_option

from recycling.cli.core import log_to_stderr, one_line_errors
from recycling.cli.place import Place, place_of

CHECKED = 50
"""Test images that an exported model is checked on."""


@click.command()
@env_option
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path), help="The folder that is written.")
@click.option("--data-licence", help="Of the training images, for the model card.")
@one_line_errors
def export(env: str | None, name: str, to: Path | None, data_licence: str | None) -> None:
    """Export the model NAME (det.yolox, det.yolox.fold0), or each member of an ensemble, to ONNX.

    Each file is checked: on 50 test images it predicts what the model predicts. A model card is
    written beside it.
    """
    log_to_stderr()
    with place_of(env, [name]) as place:
        _export(place, name, to, data_licence)


def _export(place: Place, name: str, to: Path | None, data_licence: str | None) -> None:
    from recycling.backends import Images
    from recycling.export import export_model, model_card, run_of
    from recycling.files import write_text
    from recycling.inference import whole_images
    from recycling.inference.exported import OnnxModel
    from recycling.plan.parameters import shown
    from recycling.predictors import checkpoints_of, write_fusion

    folder = to or place.folder("06_models/exported")
    catalog = place.catalog
    checkpoints = checkpoints_of(name, place.plan, catalog)
    table = catalog.load("test.annotations").images.iloc[:CHECKED]
    images = whole_images(Images(table, catalog.load("test.images")))
    runs = catalog.load("run_manifests").all()
    for member, checkpoint in checkpoints.items():
        path = folder / f"{member}.onnx"
        click.echo(f"{member}: {export_model(checkpoint, member, path, images)}")
        exported = OnnxModel.load(path).exported
        card = model_card(exported, run_of(exported, runs), licence_of_data=data_licence)
        write_text(path.with_suffix(".md"), card)
        click.echo(f"written: {shown(path)} and its model card, {path.with_suffix('.md').name}")
    fusion = write_fusion(name, place.plan, catalog, folder)
    if fusion is not None:
        click.echo(f"written: {shown(fusion)}, which fuses them")
