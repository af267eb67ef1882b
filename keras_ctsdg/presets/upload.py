"""Presets on their way to the hubs, by the hubs' own clients."""

import re
from pathlib import Path

from keras_ctsdg.presets.files import (
    CARD,
    CONFIG,
    METADATA,
    RECORD,
    WEIGHTS,
    is_preset,
    is_preset_name,
    preset_folder,
    read_json,
)
from keras_ctsdg.presets.loading import HUBS

# How many parts a handle has, and what they are.
HANDLES = {"hf": "owner/name", "kaggle": "owner/model/keras/variation"}
LOCAL_NAME = re.compile(r'from_preset\("path/to/[^"\n]*"\)')


def upload_preset(preset, handle, private=False):
    """Upload a preset with its model card to the Hugging Face hub or to Kaggle.

    Others then load it by `keras_ctsdg.from_preset` of the same handle. What is in the
    folder beside the preset stays there. Log in once with the hub's own tool:
    `hf auth login`, or `kagglehub.login()`.

    Args:
        preset: Path of a folder that `CTSDG.save_to_preset` wrote, or the name of an
            installed preset.
        handle: Str, `"hf://owner/name"` or `"kaggle://owner/model/keras/variation"`.
            What does not exist is created; what exists gets a new version.
        private: Bool, whether a new repository on Hugging Face is private. New models
            on Kaggle always are. Defaults to `False`.

    Returns:
        Str, the URL on the hub.

    Raises:
        ValueError: Before anything is sent, if the folder holds no preset, the handle
            is of another form, or nobody is logged in.
        OSError: If the hub cannot be reached, or refuses.

    Example:

    ```python
    model.save_to_preset("faces", dtype="float16")
    keras_ctsdg.upload_preset("faces", "hf://owner/faces")
    ```
    """
    folder = _find_folder(preset)
    hub, name = _split_handle(handle)
    _check_login(hub, handle)
    try:
        if hub == "kaggle":
            return _upload_to_kaggle(folder, name)
        return _upload_to_hugging_face(folder, name, handle, private)
    # Each client has its own errors for problems of the network.
    except Exception as error:
        raise OSError(
            f"The preset could not be uploaded: {' '.join(str(error).split())}. "
            f"Received: handle={handle}"
        ) from error


def _find_folder(preset):
    folder = Path(preset)
    if is_preset_name(preset) and is_preset(preset_folder(preset)):
        folder = preset_folder(preset)
    absent = [x for x in (CONFIG, METADATA, WEIGHTS) if not (folder / x).is_file()]
    if absent:
        raise ValueError(
            "`preset` must be a folder that `save_to_preset` wrote, or the name of an "
            f"installed preset. Received: preset={preset}, without {', '.join(absent)}"
        )
    return folder


def _split_handle(handle):
    hub, _, name = str(handle).partition("://")
    parts = name.split("/")
    count = len(HANDLES.get(hub, "").split("/"))
    is_whole = len(parts) == count and all(re.fullmatch(r"[\w.-]+", x) for x in parts)
    if f"{hub}://" not in HUBS or not is_whole:
        forms = " or ".join(f'"{hub}://{form}"' for hub, form in HANDLES.items())
        raise ValueError(f"`handle` must be {forms}. Received: handle={handle}")
    return hub, name


def _check_login(hub, handle):
    if hub == "kaggle":
        from kagglehub.config import get_kaggle_credentials

        is_logged_in, how = get_kaggle_credentials() is not None, "kagglehub.login()"
    else:
        from huggingface_hub import get_token

        is_logged_in, how = get_token() is not None, "hf auth login"
    if not is_logged_in:
        raise ValueError(
            f"`handle` must be of a hub that you are logged in to: `{how}`. "
            f"Received: handle={handle}"
        )


def _upload_to_hugging_face(folder, name, handle, private):
    from huggingface_hub import CommitOperationAdd, HfApi

    files = {x: folder / x for x in (CONFIG, METADATA, WEIGHTS)}
    if (folder / CARD).is_file():
        card = (folder / CARD).read_text(encoding="utf-8")
        # The rest of the card may be the user's own.
        card = LOCAL_NAME.sub(f'from_preset("{handle}")', card)
        files[CARD] = card.encode()
    operations = [CommitOperationAdd(x, content) for x, content in files.items()]
    api = HfApi()
    url = str(api.create_repo(name, private=private, exist_ok=True))
    # One commit: nobody sees a part of it.
    api.create_commit(name, operations, commit_message="Upload a preset of keras-ctsdg")
    return url


def _upload_to_kaggle(folder, name):
    import kagglehub

    names = {CARD, CONFIG, METADATA, WEIGHTS}
    others = [f"{x.name}/" if x.is_dir() else x.name for x in folder.iterdir()]
    kagglehub.model_upload(
        name,
        str(folder),
        license_name=read_json(folder, METADATA).get(RECORD, {}).get("license"),
        ignore_patterns=[x for x in others if x not in names],
    )
    owner, model, framework, variation = name.split("/")
    return f"https://www.kaggle.com/models/{owner}/{model}/{framework}/{variation}"
