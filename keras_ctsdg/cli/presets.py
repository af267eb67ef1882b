from rich.console import Console
from rich.table import Table


def presets():
    """List the presets: what they are, their size and licence, what is installed."""
    from keras_ctsdg.presets import list_presets

    console = Console()
    table = Table("name", "what it is", "size", "licence", "installed")
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
            lines = [f"{name}: {entry['path']}"]
        else:
            lines = [f"{name}: keras-ctsdg convert CHECKPOINT {name}"]
            lines += [f"  {who}: {url}" for who, url in entry["published"].items()]
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
