import json

import pytest

from keras_ctsdg.cluster.shards import (
    join_batches,
    parse_shard,
    read_shards,
    shard_file,
    write_shard,
)
from keras_ctsdg.evaluation import BatchScores

pytestmark = pytest.mark.backend_independent
SETTINGS = {"model": "m.keras", "samples": 7, "batch_size": 2}


def test_parts_of_a_whole():
    assert parse_shard(None) == parse_shard("1/1") == (0, 1)
    assert parse_shard("8/8") == (7, 8)
    for text in ("0/4", "5/4", "1", "1/", "/2", "-1/2", "1.5/2", "1/0", "a/b", "1/2/3"):
        with pytest.raises(ValueError, match=f"K <= N. Received: --shard {text}$"):
            parse_shard(text)


def make_batches():
    """Four batches of two samples; the sixth image and a mask are skipped."""
    batches = [
        BatchScores(i, [{"index": i, "psnr": i / 3}, {"index": i + 1, "psnr": 0.1}], {})
        for i in (0, 2, 4)
    ] + [BatchScores(6, [{"index": 6, "psnr": 1e-17}], {"mask": "first here"})]
    batches[2].samples[1] = None
    batches[2].skipped["b"] = "damaged"
    batches[2].skipped["a"] = "damaged"
    return batches


def test_shards_join_to_what_one_process_measures(tmp_path):
    batches = make_batches()
    for rank in (2, 0, 1):
        write_shard(tmp_path, (rank, 3), batches[rank::3], SETTINGS)
    # What a shard skips that an earlier batch of another shard skips, too.
    later = make_batches()[1]
    later.skipped["mask"] = "a second time"
    write_shard(tmp_path, (1, 3), [later], SETTINGS)
    joined = read_shards(tmp_path, SETTINGS)
    assert [scores.start for scores in joined] == [0, 2, 4, 6]
    samples, skipped = join_batches(reversed(joined))
    expected = [x for scores in batches for x in scores.samples if x is not None]
    assert samples == expected
    assert list(skipped.items()) == [
        ("mask", "a second time"),
        ("b", "damaged"),
        ("a", "damaged"),
    ]
    assert sorted(x.name for x in tmp_path.iterdir()) == [
        f"shard_{k}_of_3.json" for k in (1, 2, 3)
    ]


def test_shards_that_do_not_join(tmp_path):
    with pytest.raises(ValueError, match="one set of shards .* with none"):
        read_shards(tmp_path, SETTINGS)
    batches = make_batches()
    for rank in (0, 2):
        write_shard(tmp_path, (rank, 3), batches[rank::3], SETTINGS)
    with pytest.raises(ValueError, match="all shards. .* without shard_2_of_3.json"):
        read_shards(tmp_path, SETTINGS)
    write_shard(tmp_path, (1, 3), batches[1::3], {**SETTINGS, "batch_size": 4})
    message = "other options .*shard_2_of_3.json of batch_size=4 for 2$"
    with pytest.raises(ValueError, match=message):
        read_shards(tmp_path, SETTINGS)
    for content in ("", "[]", json.dumps({"settings": SETTINGS, "batches": [{}]})):
        shard_file(tmp_path, (1, 3)).write_text(content)
        with pytest.raises(ValueError, match="run this shard again. .*shard_2_of_3"):
            read_shards(tmp_path, SETTINGS)
    write_shard(tmp_path, (0, 2), [], SETTINGS)
    with pytest.raises(ValueError, match="with shards of 2, shards of 3"):
        read_shards(tmp_path, SETTINGS)
