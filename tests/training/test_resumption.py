import json
import random

import keras
import numpy as np
import pytest

from keras_ctsdg.training.callbacks import FineTuning
from keras_ctsdg.training.resumption import (
    read_callbacks,
    read_random_state,
    restore_callbacks,
    set_random_state,
)

pytestmark = pytest.mark.backend_independent


def test_callbacks_go_on_with_their_state():
    def make():
        return [
            FineTuning(1),
            FineTuning(2),
            keras.callbacks.EarlyStopping(),
            keras.callbacks.ReduceLROnPlateau(),
            keras.callbacks.TerminateOnNaN(),
        ]

    before, after = make(), make()
    begun = {"rates": [5e-5, 5e-6], "start": 7}
    before[1].set_state(begun)
    before[2].best, before[2].wait = np.float32(0.5), 3
    before[3].best, before[3].cooldown_counter = 0.25, 2
    states = json.loads(json.dumps(read_callbacks(before)))
    restore_callbacks(after, states)
    assert read_callbacks(after) == states
    assert (after[0].get_state(), after[1].get_state()) == (None, begun)
    assert (after[2].best, after[2].wait) == (0.5, 3)
    assert (after[3].best, after[3].cooldown_counter) == (0.25, 2)
    restore_callbacks(after[:1], {"Unknown": [1]})


def test_random_numbers_go_on():
    state = json.loads(json.dumps(read_random_state()))
    expected = [random.random(), np.random.rand()]
    set_random_state(state)
    assert [random.random(), np.random.rand()] == expected
