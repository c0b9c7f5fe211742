"""The viewer's addresses: a page, an image, or a line that says what is wrong."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from fuzz.core import Target
from fuzz.mutations import ODD
from fuzz.sample_files import ROOT
from recycling.cli.core import context_of, message_for_user, show_sample

SIDES = ["det.yolox.fold0", "cls.final", "seg.fcn.fold0", "latest:det.final"]
SWITCH = ["0", "1"]
KEYS = {
    "annotation": ["1", "7"],
    "box": ["1,1,20,20", "0.0,0.0,0.0,0.0"],
    "category": ["Paper", "Metal", "1"],
    "compare": ["det.yolox.fold0,det.fcos.fold0", "cls.final"],
    "crowds": SWITCH,
    "curve": ["loss", "score"],
    "fate": ["kept", "refused"],
    "filter": ["state == 'finished'", "`det.final` > 0.1", "@run"],
    "find": ["yolox", "2000"],
    "first": SIDES,
    "fold": ["0", "all"],
    "group": ["1", "a"],
    "id": ["20001", "1"],
    "kind": ["missed", "wrong_class"],
    "labels": SWITCH,
    "layout": ["beside", "over"],
    "masks": SWITCH,
    "method": ["grad_cam", "eigen_cam"],
    "n": ["20", "0"],
    "of": ["det.label_errors"],
    "order": ["largest", "iou"],
    "other": ["det.fcos.fold0"],
    "page": ["1", "2", "10000000000"],
    "part": ["test", "out_of_fold", "train"],
    "round": ["det.round"],
    "rule": ["clip_boxes"],
    "said": ["Paper", "nothing"],
    "score": ["0.3", "0", "1"],
    "second": SIDES,
    "set": ["test.annotations", "train.annotations", "pool.annotations"],
    "show": ["images", "annotations", "models", "all"],
    "side": SIDES,
    "sides": ["det.yolox.fold0", "det.fcos.fold0,det.yolox.fold0", "cls.final"],
    "size": ["small", "large"],
    "sort": ["run", "-state"],
    "trainings": ["det.yolox.fold0"],
    "true": ["Paper", "nothing"],
    "truth": SWITCH,
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
    from recycling.viewer.guard import Guard
    from recycling.viewer.holdings import Holdings
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
        client = Client(ui.page(path), request=None)
        try:
            with client:
                PAGES[path].build(View(holdings, address, lambda: None))
        finally:
            client.delete()  # as when the browser goes: pages that are kept would fill the memory

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
