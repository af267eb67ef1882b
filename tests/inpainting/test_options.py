import inspect
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from keras_ctsdg.inpainting import FileOptions, Frames, InpaintOptions, Strategy

pytestmark = pytest.mark.backend_independent


def test_defaults():
    options = InpaintOptions()
    assert vars(options) == {
        "strategy": "auto",
        "size": 384,
        "invert_mask": False,
        "threshold": 0.5,
        "dilate": 0,
        "feather": 0.0,
        "memory_limit": 3.0,
    }


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("strategy", "best", 'must be one of "auto", "full", "crop", "resize"'),
        ("strategy", None, 'must be one of "auto", "full", "crop", "resize"'),
        ("size", 0, "must be a positive integer"),
        ("size", -384, "must be a positive integer"),
        ("threshold", 0, r"must be in \(0, 1\]"),
        ("threshold", 1.1, r"must be in \(0, 1\]"),
        ("threshold", np.nan, r"must be in \(0, 1\]"),
        ("dilate", -1, "must be a whole number and not negative"),
        ("dilate", 1.5, "must be a whole number and not negative"),
        ("dilate", np.nan, "must be a whole number and not negative"),
        ("dilate", np.inf, "must be a whole number and not negative"),
        ("feather", -1, r"must be in \[0, 64\]"),
        ("feather", 65, r"must be in \[0, 64\]"),
        ("feather", np.nan, r"must be in \[0, 64\]"),
        ("memory_limit", 0, "must be positive"),
        ("memory_limit", -3.0, "must be positive"),
        ("memory_limit", np.nan, "must be positive"),
    ],
)
def test_each_rule_is_checked(name, value, rule):
    with pytest.raises(
        ValueError, match=f"^`{name}` {rule}. Received: {name}={value!r}$"
    ):
        InpaintOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("strategy", strategy) for strategy in (*Strategy, "crop")),
        ("size", 1),
        ("threshold", 1),
        ("threshold", 1e-6),
        ("dilate", 3.0),
        ("feather", 64),
        ("memory_limit", 1e-6),
    ],
)
def test_limits_themselves_are_allowed(name, value):
    assert getattr(InpaintOptions(**{name: value}), name) == value


def test_options_are_frozen_and_passed_by_name():
    options = InpaintOptions(size=256)
    with pytest.raises(FrozenInstanceError):
        options.size = 128
    with pytest.raises(TypeError, match="dilation"):
        InpaintOptions(dilation=1)
    with pytest.raises(TypeError, match="positional"):
        InpaintOptions("crop")


@pytest.mark.parametrize("options", [InpaintOptions, FileOptions])
def test_every_option_is_documented(options):
    about = inspect.getdoc(options)
    for option in fields(options):
        assert f"    {option.name}: " in about
        assert option.metadata["help"].endswith(".")


def test_options_of_files():
    assert vars(FileOptions()) == {"format": None, "quality": None, "frames": "one"}
    for options in (
        *({"format": x} for x in ("png", ".JPG", "avif", "tif")),
        *({"quality": x} for x in (1, 100)),
        *({"frames": x} for x in (*Frames, "all")),
    ):
        ((name, value),) = options.items()
        assert getattr(FileOptions(**options), name) == value
    for options, message in (
        ({"format": "text"}, "`format` must be an ending .*Received: format='text'"),
        ({"format": ""}, "`format` must be an ending of images"),
        ({"quality": 0}, r"`quality` must be a .* in \[1, 100\]. Received: quality=0"),
        ({"quality": 101}, "Received: quality=101"),
        ({"quality": 80.5}, "Received: quality=80.5"),
        ({"quality": "keep"}, "Received: quality=keep"),
        ({"frames": "some"}, 'must be one of "one", "first", "all". Received: '),
    ):
        with pytest.raises(ValueError, match=message):
            FileOptions(**options)
