from rich.table import Table

from keras_ctsdg.cli._console import console, print_line
from keras_ctsdg.presets import list_presets


def presets():
    """List the presets: what they are, size, license, and whether they are installed.

    For one that is not installed, it says where its checkpoint is published and how
    to convert it.
    """
    table = Table("name", "description", "size", "license", "installed")
    table.columns[2].justify = "right"
    entries = list_presets()
    for name, entry in entries.items():
        table.add_row(
            name,
            entry["description"],
            f"{entry['size'] / 1e6:.0f} MB",
            entry["license"] or "-",
            "yes" if entry["installed"] else "no",
        )
    console.print(table)
    for name, entry in entries.items():
        if entry["installed"]:
            print_line(f"{name}: {entry['path']}")
            continue
        print_line(f"{name}: keras-ctsdg convert CHECKPOINT {name}")
        for publisher, url in entry["published"].items():
            print_line(f"  {publisher}: {url}")
