from dataclasses import fields

import pytest

from keras_ctsdg.inpainting import FileOptions, InpaintOptions
from tests.cli.common import read_box


@pytest.mark.backend_independent
def test_every_option_of_inpaint_is_offered(command):
    """Their help, defaults and choices come from the dataclasses."""
    code, stdout, _ = command("inpaint", "--help")
    assert code == 0
    text = read_box(stdout)
    for option in (*fields(InpaintOptions), *fields(FileOptions)):
        assert f"--{option.name.replace('_', '-')}" in text
        assert option.metadata["help"] in text
        if option.type is not bool and option.default is not None:
            assert f"[default: {option.default}]" in text
    assert "auto|full|crop|resize" in text
    assert "one|first|all" in text
    assert "--no-invert-mask" not in text
