"""Five samples in batches of three, which two devices do not divide, as a program."""

import numpy as np

from keras_ctsdg.training import distribution
from tests.common import random_batch
from tests.training.common import make_model


def main():
    with distribution.start():
        model = make_model(run_eagerly=False)
    data = random_batch(5)
    model.fit(data, batch_size=3, verbose=0)
    logs = model.evaluate(data, batch_size=3, verbose=0, return_dict=True)
    assert logs["samples"] == 5 and np.isfinite(logs["loss"])
    filled = model.predict(data, batch_size=3, verbose=0)
    assert filled.shape == (5, 128, 128, 3)
    one = {key: x[4:] for key, x in data.items()}
    assert np.abs(model.predict_on_batch(one) - filled[4:]).max() < 1e-4
    assert model.test_on_batch(one, return_dict=True)["samples"] == 1
    distribution.stop()


if __name__ == "__main__":
    main()
