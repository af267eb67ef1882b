import keras
import numpy as np
import pytest

from keras_ctsdg.models._input_checks import check_batch
from keras_ctsdg.models._value_checks import check_finite_weights, check_values
from tests.common import random_batch

pytestmark = pytest.mark.backend_independent


def change_sample(key, change, index=1):
    """Return a batch of two samples, one of which has an input changed."""
    batch = random_batch(2)
    batch[key] = batch[key].copy()
    batch[key][index] = change(batch[key][index])
    return batch


def nan_pixel(values):
    values = values.copy()
    values[3, 5] = np.nan
    return values


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("image", nan_pixel, "finite.*image.1. with 3 of 49152 values NaN"),
        ("gray", lambda x: x / 0 + x, "finite.*gray.1. with 16384 of 16384"),
        ("edge", nan_pixel, "finite.*edge.1. with 1 of"),
        ("mask", nan_pixel, "finite.*mask.1. with 1 of"),
        (
            "image",
            lambda x: 127.5 * x + 127.5,
            r"floats in \[-1, 1\]. .*255, divide by 127.5 and subtract 1. "
            r"Received: image\[1\] with values from .* to 25\d.*, dtype=float32",
        ),
        ("image", lambda x: 32767.5 * (x + 1), "divide by 32767.5 and subtract 1"),
        ("image", lambda x: 2.3 * x, "mean and a standard deviation"),
        ("image", lambda x: 1.1 * x, r"np.clip\(image, -1, 1\)"),
        ("image", lambda x: 1e6 * x, r"floats in \[-1, 1\]. Received"),
        ("gray", lambda x: 255 * x, "divide by 255"),
        ("gray", lambda x: 2 * x - 1, "add 1 and divide by 2"),
        ("edge", lambda x: 255 * x, "divide by 255"),
        ("edge", lambda x: 0.3 * x, "be 0 or 1.*edge >= 0.5"),
        ("mask", lambda x: 255 * x, "1 marks the hole. .*divide by 255. Received"),
        ("mask", lambda x: x - 0.5, "add 1 and divide by 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_values_are_refused(key, change, message):
    batch = change_sample(key, change)
    with pytest.raises(ValueError, match=rf"(?s)`{key}` must .*{message}"):
        check_values(batch, tuple(batch))
    others = tuple(k for k in batch if k != key)
    check_values(batch, others)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("key", ["image", "gray"])
def test_integers_are_refused_where_no_value_is_out_of_range(key, dtype):
    batch = random_batch(2)
    batch[key] = np.zeros_like(batch[key], dtype)
    with pytest.raises(ValueError, match=rf"hold floats in .*255.*dtype={dtype}"):
        check_values(batch, (key,))
    batch[key] = batch[key].astype("S")
    with pytest.raises(ValueError, match=rf"real numbers.*{key}.dtype="):
        check_values(batch, (key,))


def test_legal_values_are_taken():
    batch = random_batch(2)
    for dtype in ("bool", "uint8", "int64", "float16", "float64"):
        binary = {key: batch[key].astype(dtype) for key in ("edge", "mask")}
        check_values(binary, ("edge", "mask"))
    check_values({"mask": 0.3 * batch["mask"]}, ("mask",))
    for image in (np.abs(batch["image"]), np.full((1, 8, 8, 3), 1 + 1e-6)):
        for dtype in ("float16", "float32", "float64"):
            check_values({"image": image.astype(dtype)}, ("image",))


@pytest.mark.parametrize("key", ["image", "gray", "edge", "mask"])
def test_errors_name_the_layout(key):
    batch = random_batch(2)
    moved = batch | {key: np.moveaxis(batch[key], -1, 1)}
    with pytest.raises(ValueError, match=r"\[B, C, H, W\]: .*np.moveaxis.*Received"):
        check_batch(moved)
    with pytest.raises(ValueError, match=r"looks like \[C, H, W\]: .*Received"):
        check_batch(batch | {key: moved[key][0]})
    with pytest.raises(ValueError, match=rf"{key}\[None\]. Received"):
        check_batch(batch | {key: batch[key][0]})
    with pytest.raises(ValueError, match=r"\[B, H, W, .\]. Received"):
        check_batch(batch | {key: np.zeros((2, 128, 128, 2))})


def test_empty_batches_are_refused():
    batch = random_batch(2)
    with pytest.raises(ValueError, match=r"one sample. Received: image.shape=\(0,"):
        check_batch({key: value[:0] for key, value in batch.items()})
    with pytest.raises(ValueError, match="multiples of 128. Received"):
        check_batch({key: value[:, :0] for key, value in batch.items()})


def test_weights_must_be_finite():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    check_finite_weights(model, "be saved")
    for value in (np.nan, np.inf, -np.inf):
        model.layers[0].bias.assign([1.0, value])
        with pytest.raises(
            ValueError, match="finite to be saved.*Received.*dense/bias"
        ):
            check_finite_weights(model, "be saved")
