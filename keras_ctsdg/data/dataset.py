import os
from enum import StrEnum

import keras
import numpy as np
from PIL import Image

from keras_ctsdg._checks import check_choice, check_positive
from keras_ctsdg.conventions import Edges, levels_to_image
from keras_ctsdg.data._batches import PackedBatch, is_worker, stack
from keras_ctsdg.data._checks import (
    check_seed,
    check_shard,
    check_sigma,
    check_size,
)
from keras_ctsdg.data._skipped import Skipped
from keras_ctsdg.data.augment import call_augment, with_rng
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.images import ImageError, ImageFiles, center_box
from keras_ctsdg.data.masks import MaskFiles, RandomIrregularMasks


class OnError(StrEnum):
    """What a data set does about a file that cannot be used."""

    RAISE = "raise"
    SKIP = "skip"


class InpaintingDataset(keras.utils.PyDataset):
    """Pictures and masks, as `keras_ctsdg.CTSDG` is trained and evaluated on them.

    What comes at a place of an epoch depends on `seed`, the epoch and the place
    alone: not on the batch size, the workers, or where training was resumed.

    Args:
        images: Pictures of any size: path of a folder (searched to any depth), of a
            zip (read in place) or of a picture; or a list of paths, PIL images or
            arrays `[H, W, 3]` (uint8, or floats in [0, 1]). They are turned as
            their EXIF says; gray, palette, CMYK and 16-bit ones become RGB,
            transparency becomes white, and of an animation the first picture
            counts.
        masks: From the same kinds of sources, where white marks the hole; or a
            `keras_ctsdg.data.RandomIrregularMasks`, or `None` for its defaults.
            Defaults to `None`.
        batch_size: Int. Defaults to `6`, the paper's.
        image_size: Int, or tuple `(H, W)`; multiples of 128 for the network.
            Defaults to `256`.
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations; `None` leaves gray and edge to the model, which draws
            them on its device, by its own `sigma`. Defaults to `"clean"`.
        sigma: Float, the width of Canny's Gaussian in pixels. Defaults to `2.0`.
        shuffle: Bool. `True`, for training: pictures in random order, each with a
            random mask. `False`, for evaluation: picture i with mask i modulo the
            number of masks. Defaults to `True`.
        center_crop: Bool, whether pictures are cropped to the shape of
            `image_size` before they are resized (bilinear, antialiased). `False`
            stretches them. Defaults to `True`.
        horizontal_flip: Bool, whether every other picture, at random, is
            mirrored. Defaults to `False`.
        augment: Keras layer, or callable of a picture or of `(picture, rng)`, a
            float32 array `[H, W, 3]` in [0, 255] and a `numpy.random.Generator`
            that belongs to the place and the epoch; returns the same kind. It is
            called before edges are drawn. Defaults to `None`.
        steps_per_epoch: Int, batches in an epoch. Defaults to as many as the
            pictures fill. `fit`'s argument of that name takes its place, but with
            `shuffle=False` goes on where the epoch before stopped.
        drop_remainder: Bool, whether a last batch that is not full is left out.
            Defaults to `False`.
        shard: Tuple `(rank, count)`: the part for one of several processes.
            Defaults to `(0, 1)`.
        on_error: `"raise"`, or `"skip"` to go on without pictures and masks that
            can't be used: in training the next takes its place, in evaluation
            the picture is left out of its batch, of which one must be left. Each
            is warned of, and listed in `skipped`. Defaults to `"raise"`.
        seed: Int, not negative. Defaults to `0`.
        **kwargs: Arguments of `keras.utils.PyDataset`: `workers`,
            `use_multiprocessing` and `max_queue_size`.

    Yields:
        Dict of float32 arrays: `image` `[B, H, W, 3]` in [-1, 1], `gray`
        `[B, H, W, 1]` in [0, 1], `edge` and `mask` `[B, H, W, 1]`, 0 or 1, where 1
        in a mask marks the hole. With `edges=None`, `image` and `mask` alone.

    Raises:
        ValueError: If an argument breaks a rule above; later, if a picture or a
            mask can't be used, naming it.

    Example:

    ```python
    dataset = keras_ctsdg.data.InpaintingDataset("photos", "masks.zip", workers=2)
    model.fit(dataset, epochs=10)
    ```
    """

    def __init__(
        self,
        images,
        masks=None,
        batch_size=6,
        image_size=256,
        edges="clean",
        sigma=2.0,
        shuffle=True,
        center_crop=True,
        horizontal_flip=False,
        augment=None,
        steps_per_epoch=None,
        drop_remainder=False,
        shard=(0, 1),
        on_error="raise",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.batch_size = check_positive("batch_size", batch_size)
        self.image_size = check_size(image_size)
        self.edges = check_choice("edges", edges, (*Edges, None))
        self.on_error = check_choice("on_error", on_error, OnError)
        self.shard = check_shard(shard)
        self.sigma = check_sigma(sigma, edges)
        if steps_per_epoch is not None:
            check_positive("steps_per_epoch", steps_per_epoch)
        self.shuffle = shuffle
        self.center_crop = center_crop
        self.horizontal_flip = horizontal_flip
        self.augment = augment
        self._augment = None
        if augment is not None:
            self._augment = with_rng(augment, self.use_multiprocessing)
        self.steps_per_epoch = steps_per_epoch
        self.drop_remainder = drop_remainder
        self.seed = check_seed(seed)
        self.images = images if isinstance(images, ImageFiles) else ImageFiles(images)
        if masks is None:
            masks = RandomIrregularMasks(seed=seed)
        known = isinstance(masks, (RandomIrregularMasks, MaskFiles))
        self.masks = masks if known else MaskFiles(masks)
        self.epoch = 0
        self.skipped = Skipped()
        self._orders = {}
        self._owner = os.getpid()
        if len(self) == 0:
            raise ValueError(
                "There must be pictures for one batch at least, on each of the "
                f"{self.shard[1]} shards. Received: {len(self.images)} pictures, "
                f"batch_size={batch_size}, drop_remainder={drop_remainder}"
            )

    # === Places ===

    @property
    def num_items(self):
        """Number of pictures in an epoch of this shard."""
        if self.steps_per_epoch is not None:
            return self.steps_per_epoch * self.batch_size
        rank, count = self.shard
        if self.shuffle:
            # Equal shards: processes that train together wait for each other.
            return len(self.images) // count
        return len(range(rank, len(self.images), count))

    def __len__(self):
        if self.drop_remainder:
            return self.num_items // self.batch_size
        return -(-self.num_items // self.batch_size)

    def __getitem__(self, index):
        first = index * self.batch_size
        places = range(first, min(first + self.batch_size, self.num_items))
        items = [item for item in map(self.item, places) if item is not None]
        if not items:
            # Keras waits for every batch, and no loss has a mean over no pictures.
            names = [self.names(place)[0] for place in places[:5]]
            raise ImageError(
                f"A batch must hold a picture that can be used; batch {index} has none."
                " Take another `batch_size`, or `keras-ctsdg evaluate --on-error skip`,"
                f" which goes on. Received: batch_size={self.batch_size}, {names}"
            )
        batch = stack(items)
        return PackedBatch(batch, self.skipped) if is_worker(self._owner) else batch

    def on_epoch_end(self):
        self.epoch += 1

    def pair(self, place):
        """Which picture and which mask come at a place of this epoch.

        Args:
            place: Int, at most `num_items - 1`.

        Returns:
            Tuple of two ints. The second is `None` if masks are drawn.
        """
        place = self._place_of_all(place)
        turn, index = divmod(place, len(self.images))
        drawn = isinstance(self.masks, RandomIrregularMasks)
        if not self.shuffle:
            return index, None if drawn else place % len(self.masks)
        index = int(self._order(turn)[index])
        if drawn:
            return index, None
        rng = self._rng(place, "mask")
        return index, int(rng.integers(len(self.masks)))

    def names(self, place):
        """What the picture and the mask at a place of this epoch are called.

        Files that are known to be skipped, as they are once the place's item was
        asked for, are passed over like there.

        Args:
            place: Int, at most `num_items - 1`.

        Returns:
            Tuple of two str.
        """
        index, mask_index = self.pair(place)
        if self.shuffle:
            index = self.skipped.pass_over(self.images, index)
        if mask_index is None:
            return self.images.name(index), "drawn"
        mask_index = self.skipped.pass_over(self.masks, mask_index)
        return self.images.name(index), self.masks.name(mask_index)

    def item(self, place):
        """One picture with all that belongs to it.

        Args:
            place: Int, at most `num_items - 1`.

        Returns:
            Dict as the data set yields it, without the batch's axis; `None` if the
            picture is left out.
        """
        index, mask_index = self.pair(place)
        picture = self._first_of(self.images, self._picture, index, self.shuffle)
        if picture is None:
            return None
        place = self._place_of_all(place)
        image = self._varied(picture, self._rng(place, "picture"))
        structure = {}
        if self.edges is not None:
            structure = gray_and_edge(image, self.edges, self.sigma)
            structure = dict(zip(("gray", "edge"), structure, strict=True))
        if mask_index is None:
            which = (self.epoch, place) if self.shuffle else place
            mask = self.masks(which, self.image_size)
        else:
            mask = self._first_of(self.masks, self._mask, mask_index)
        return {"image": image, **structure, "mask": mask}

    def _place_of_all(self, place):
        """The place among all shards."""
        rank, count = self.shard
        return place * count + rank

    def _order(self, turn):
        """The epoch's random order; another one each time all had their turn."""
        key = (self.epoch, turn)
        if key not in self._orders:
            order = self._rng(turn, "order").permutation(len(self.images))
            self._orders = {key: order}
        return self._orders[key]

    def _rng(self, place, purpose):
        kind = ("order", "mask", "picture").index(purpose)
        return np.random.default_rng([self.seed, kind, self.epoch, place])

    # === Pictures ===

    def _picture(self, index):
        height, width = self.image_size
        picture = self.images.load(index, shrink_to=2 * max(height, width))
        if self.center_crop:
            picture = picture.crop(center_box(picture.size, width / height))
        return picture.resize((width, height), Image.Resampling.BILINEAR)

    def _mask(self, index):
        return self.masks.load(index, self.image_size)

    def _first_of(self, files, load, index, replace=True):
        """What is read, or what is read in its place if it can't be."""
        for i in range(len(files) if replace else 1):
            at = (index + i) % len(files)
            try:
                return load(at)
            except ImageError as error:
                if self.on_error == "raise":
                    raise
                # From a worker the batch brings the news.
                warn = not is_worker(self._owner)
                self.skipped.add(files.name(at), str(error), warn)
        if replace:
            raise ImageError(f"None can be used. Received: {list(self.skipped)[:5]}")
        return None

    def _varied(self, picture, rng):
        """A picture as a float32 array in [-1, 1], flipped and augmented."""
        image = np.asarray(picture, "float32")
        if self.horizontal_flip and rng.random() < 0.5:
            image = image[:, ::-1]
        if self._augment is not None:
            image = call_augment(self._augment, image, rng)
        return levels_to_image(image)
