"""What arrives while a batch is computed is predicted together, and each gets its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from inference.small_onnx import colour_segmenter
from recycling.inference import Predictor
from recycling.inference.exported import onnx_predictor
from recycling.serving import Refused
from recycling.serving.batching import Batcher

COLOURS = {1: (250, 0, 0), 2: (0, 250, 0), 3: (0, 0, 250)}


def image(label):
    return np.full((12, 16, 3), COLOURS[label], np.uint8)


@dataclass
class _Held:
    """A model that waits for a sign before it predicts."""

    model: object
    sign: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    @property
    def categories(self):
        return self.model.categories

    def predict(self, images):
        self.began.set()
        assert self.sign.wait(20)
        return self.model.predict(images)


@pytest.fixture
def held(tmp_path):
    own = onnx_predictor(colour_segmenter(tmp_path / "s.onnx"))
    (model,) = own.members.values()
    return _Held(model), own


def _batcher(held, **settings):
    model, own = held
    sizes = []
    predictor = Predictor(own.name, own.task, own.categories, {own.name: model})
    return model, sizes, Batcher(predictor, tell=sizes.append, **settings)


def test_requests_that_wait_are_predicted_together_and_each_gets_its_own(held):
    model, sizes, batcher = _batcher(held, batch_size=4, queue=100)
    first = batcher.submit([image(1)])
    assert model.began.wait(20)
    later = [batcher.submit([image(label)] * n) for label, n in ((2, 1), (3, 2), (1, 3))]
    assert batcher.waiting == 6
    model.sign.set()
    assert first.result(20).maps[0][0, 0] == 1
    for label, n, found in zip((2, 3, 1), (1, 2, 3), later, strict=True):
        said = found.result(20)
        assert [int(label_map[5, 5]) for label_map in said.maps] == [label] * n
        assert [len(rows) for rows in said.objects] == [1] * n
    batcher.close()
    assert sizes == [1, 3, 3]


def test_a_full_queue_turns_away_and_what_is_cancelled_is_not_predicted(held):
    model, sizes, batcher = _batcher(held, batch_size=4, queue=2)
    batcher.submit([image(1)])
    assert model.began.wait(20)
    given_up = batcher.submit([image(2)] * 2)
    with pytest.raises(Refused) as refused:
        batcher.submit([image(3)])
    assert refused.value.status == 503
    assert given_up.cancel()
    model.sign.set()
    batcher.close()
    assert sizes == [1]


def test_one_request_that_fails_does_not_take_the_others_with_it(held):
    model, sizes, batcher = _batcher(held, batch_size=4, queue=10)
    batcher.submit([image(1)])
    assert model.began.wait(20)
    bad = batcher.submit([np.zeros((0, 0, 3), np.uint8)])
    good = batcher.submit([image(2)])
    model.sign.set()
    assert good.result(20).maps[0][0, 0] == 2
    assert bad.exception(20) is not None
    batcher.close()
    assert sizes == [1, 1]  # what was not predicted is not counted
