"""What arrives while a batch is computed is predicted together, and each gets its own."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from recycling.progress import track
from recycling.serving import Refused
from recycling.serving.batching import Batcher
from serving.held import held_predictor

COLOURS = {1: (250, 0, 0), 2: (0, 250, 0), 3: (0, 0, 250)}


def image(label):
    return np.full((12, 16, 3), COLOURS[label], np.uint8)


@pytest.fixture
def held(tmp_path):
    return held_predictor(tmp_path)


def _batcher(held, **settings):
    model, predictor = held
    sizes = []
    return model, sizes, Batcher(predictor, tell=sizes.append, **settings)


def test_requests_that_wait_are_predicted_together_and_each_gets_its_own(held):
    model, sizes, batcher = _batcher(held, batch_size=4)
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


def test_what_is_cancelled_is_let_go_at_once_and_not_predicted(held):
    model, sizes, batcher = _batcher(held, batch_size=4)
    batcher.submit([image(1)])
    assert model.began.wait(20)
    images = [image(2) for _ in range(2)]
    freed = weakref.ref(images[0])
    given_up, last = batcher.submit(images), batcher.submit([image(3)])
    assert batcher.waiting == 3
    assert given_up.cancel()
    assert batcher.waiting == 1
    del images, given_up
    assert freed() is None
    model.sign.set()
    assert last.result(20).maps[0][0, 0] == 3
    batcher.close()
    assert sizes == [1, 1]


def test_no_line_of_progress_is_shown(held, capsys):
    model, _, batcher = _batcher(held, batch_size=4)
    predict = model.model.predict

    class Tells:
        def predict(self, images):
            assert list(track([1, 2], "predicting")) == [1, 2]
            return predict(images)

    model.model = Tells()
    model.sign.set()
    assert batcher.submit([image(1)]).result(20).maps[0][0, 0] == 1
    batcher.close()
    assert capsys.readouterr().out == ""


def test_nothing_is_taken_once_it_is_closed(held):
    model, _, batcher = _batcher(held, batch_size=4)
    model.sign.set()
    batcher.close()
    with pytest.raises(Refused) as refused:
        batcher.submit([image(1)])
    assert refused.value.status == 503


def test_one_request_that_fails_does_not_take_the_others_with_it(held):
    model, sizes, batcher = _batcher(held, batch_size=4)
    batcher.submit([image(1)])
    assert model.began.wait(20)
    bad = batcher.submit([np.zeros((0, 0, 3), np.uint8)])
    good = batcher.submit([image(2)])
    model.sign.set()
    assert good.result(20).maps[0][0, 0] == 2
    assert bad.exception(20) is not None
    batcher.close()
    assert sizes == [1, 1]  # what was not predicted is not counted
