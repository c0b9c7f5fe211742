"""The viewer's addresses: a page, an image, or a line that says what is wrong."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from fuzz.core import Target
from fuzz.mutations import ODD
from fuzz.sample_files import ROOT
from recycling.cli.core import context_of, message_for_user, show_sample

KEYS = {
    "set": ["test.annotations", "train.annotations", "pool.annotations"],
    "category": ["Paper", "Metal", "General trash"],
    "show": ["images", "annotations"],
    "sides": ["det.yolox.fold0", "det.fcos.fold0,det.yolox.fold0", "cls.final", "seg.fcn.fold0"],
    "model": ["det.yolox.fold0", "cls.resnet18.fold0"],
    "task": ["cls", "det", "seg"],
    "part": ["test", "out_of_fold", "train"],
    "id": ["20001", "1"],
    "page": ["1", "2", "10000000000"],
    "score": ["0.3", "0", "1"],
    "iou": ["0.5"],
    "order": ["size", "-size", "name"],
    "rule": ["clip_boxes"],
    "method": ["grad_cam"],
    "run": ["2026-01-01T00.00.00.000Z"],
}
"""What pages ask for, and values that may be right."""


def target() -> Target:
    import os

    from fastapi import FastAPI
    from kedro.framework.startup import bootstrap_project
    from nicegui import Client, ui
    from starlette.testclient import TestClient

    from recycling.hooks import records_folder
    from recycling.sides import Workplace
    from recycling.viewer.addresses import Address
    from recycling.viewer.core import Holdings
    from recycling.viewer.guard import Guard
    from recycling.viewer.pages import PAGES
    from recycling.viewer.server import add_images
    from recycling.viewer.views import View

    os.chdir(ROOT)
    bootstrap_project(ROOT)
    holdings = None
    with context_of(None) as context:
        from kedro.framework.project import pipelines

        catalog = context.catalog
        names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
        show_sample(context, catalog)
        place = Workplace(
            catalog, catalog.load("run_manifests"), records_folder(context), context.params
        )
        holdings = Holdings(catalog, place, names)
    app = FastAPI(openapi_url=None)
    add_images(app, holdings)
    images = TestClient(Guard(app), base_url="http://localhost")

    def read(asked: tuple[str, dict[str, str]]) -> None:
        path, values = asked
        if path not in PAGES:
            answer = images.get(f"{path}?{urlencode(values)}")
            assert answer.status_code in (200, 404, 405, 422), answer.text
            return
        address = Address(path, values)
        with Client(ui.page(path), request=None):
            PAGES[path].build(View(holdings, address, lambda: None, message_for_user))

    odd = st.sampled_from([word.decode("latin1") for word in ODD]) | st.text(max_size=6)
    values = st.sampled_from(sorted(KEYS)).flatmap(
        lambda key: st.tuples(st.just(key), st.sampled_from(KEYS[key]) | odd)
    )
    states = st.lists(values, max_size=5).map(dict)
    place_of = st.tuples(
        st.sampled_from(KEYS["set"]) | odd,
        st.sampled_from(KEYS["id"]) | odd,
        st.sampled_from(["320", "1600", "-1"]) | odd,
    ).map(lambda parts: "/images/" + "/".join(quote(part, safe="") for part in parts))
    inputs = st.tuples(st.sampled_from(list(PAGES)), states) | st.tuples(place_of, states)
    return Target("addresses", inputs, read, message_for_user)
