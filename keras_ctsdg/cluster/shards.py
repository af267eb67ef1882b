"""Shards: parts of a folder for array jobs, and how their scores are joined."""

import json
import os
import re

from keras_ctsdg.evaluation import BatchScores

FILE_NAME = re.compile(r"shard_(\d+)_of_(\d+)\.json")


def parse_shard(text):
    """Return the shard that `K/N` names, as `(rank, count)`.

    Args:
        text: Str such as `"1/8"` for the first of eight, or `None` for all.

    Raises:
        ValueError: If it is of another form, or K is not in [1, N].
    """
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(
            f"--shard must be K/N, with 1 <= K <= N. Received: --shard {text}"
        )
    return int(found[1]) - 1, int(found[2])


def shard_file(out, shard):
    """Return the path of a shard's scores.

    Args:
        out: `pathlib.Path` of the folder of results.
        shard: Tuple `(rank, count)`.
    """
    return out / f"shard_{shard[0] + 1}_of_{shard[1]}.json"


def write_shard(out, shard, batches, settings):
    """Write the scores of a shard, for `read_shards`.

    Args:
        out, shard: As `shard_file` takes them; the folder exists.
        batches: List of `keras_ctsdg.evaluation.BatchScores`.
        settings: Dict of what must be the same in all shards.

    Returns:
        `pathlib.Path` of the file.
    """
    file = shard_file(out, shard)
    part = file.with_name(f".{file.name}.part")
    content = {"settings": settings, "batches": [x._asdict() for x in batches]}
    part.write_text(json.dumps(content) + "\n")
    os.replace(part, file)
    return file


def read_shards(out, settings):
    """Read the scores of all shards of an evaluation.

    Args:
        out: `pathlib.Path` of the folder of results.
        settings: Dict, as `write_shard` takes it.

    Returns:
        List of `keras_ctsdg.evaluation.BatchScores`, in the order of the data set.

    Raises:
        ValueError: If a shard is missing, damaged, or one of another evaluation.
    """
    found = [FILE_NAME.fullmatch(path.name) for path in out.glob("shard_*.json")]
    counts = sorted({int(match[2]) for match in found if match})
    if len(counts) != 1:
        raise ValueError(
            "--join needs the results of one set of shards in --out. Received: --out "
            f"{out} with " + (", ".join(f"shards of {n}" for n in counts) or "none")
        )
    files = [shard_file(out, (rank, counts[0])) for rank in range(counts[0])]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            "--join needs the results of all shards. Received: --out "
            f"{out} without {', '.join(missing)}"
        )
    batches = [scores for file in files for scores in _read_shard(file, settings)]
    return sorted(batches, key=lambda scores: scores.start)


def _read_shard(file, settings):
    try:
        content = json.loads(file.read_text())
        batches = [BatchScores(**scores) for scores in content["batches"]]
        stored = content["settings"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"--join needs whole results; run this shard again. Received: {file}"
        ) from error
    # As JSON has them, in which a tuple is a list.
    expected = json.loads(json.dumps(settings))
    differing = [
        f"{name}={stored.get(name)!r} for {expected[name]!r}"
        for name in expected
        if stored.get(name) != expected[name]
    ]
    if differing:
        raise ValueError(
            "--join takes the other options of the shards. Received: "
            f"{file.name} of {', '.join(differing)}"
        )
    return batches


def join_batches(batches):
    """Return what a single process reports of all batches.

    Args:
        batches: List of `keras_ctsdg.evaluation.BatchScores`.

    Returns:
        Tuple of the list of samples that were measured and of the dict of reasons why
        files were skipped, both in the order of the data set.
    """
    samples, skipped = [], {}
    for scores in sorted(batches, key=lambda scores: scores.start):
        samples += [sample for sample in scores.samples if sample is not None]
        for name, reason in scores.skipped.items():
            skipped.setdefault(name, reason)
    return samples, skipped
