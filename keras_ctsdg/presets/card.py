"""Model cards, as the hubs show them."""

CARD = """\
---
library_name: keras
pipeline_tag: image-to-image
tags: [inpainting, ctsdg, keras-ctsdg]
{license}---

# {name}

Weights of CTSDG (Guo, Yang and Huang, ICCV 2021), which fills holes in
images, for the package `keras-ctsdg` on TensorFlow, JAX or PyTorch.

```python
import keras_ctsdg

model = keras_ctsdg.from_preset("path/to/{name}")
filled = model.inpaint("photo.jpg", "mask.png")
```

| | |
|---|---|
{facts}
"""


def build_card(name, record):
    """Return the model card of a preset.

    Args:
        name: Str, the name of the preset.
        record: Dict, our entry in the preset's metadata: `parameters` (a dict of
            networks and their numbers), `dtype`, `edges`, `upsampling` and, where
            they are known, `step`, `license` and `source` (a dict of `file`,
            `format` and `sha256`).

    Returns:
        Str, Markdown with a YAML header.
    """
    counts = ", ".join(f"{key} {n:,}" for key, n in record["parameters"].items())
    facts = {
        "Parameters": counts,
        "Stored as": record["dtype"],
        "Gray and edge inputs": record["edges"],
        "Upsampling": record["upsampling"],
        "Training steps": record.get("step"),
    }
    source = record.get("source")
    if source:
        facts["Converted from"] = f"{source['file']} ({source['format']})"
        facts["SHA-256 of that file"] = source["sha256"]
    license_name = record.get("license")
    return CARD.format(
        name=name,
        license=f"license: {license_name}\n" if license_name else "",
        facts="\n".join(f"| {k} | {v} |" for k, v in facts.items() if v is not None),
    )
