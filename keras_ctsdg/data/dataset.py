import os
from typing import Any

import keras
import numpy as np

from keras_ctsdg._checks import check_choice, check_positive
from keras_ctsdg.conventions import STRUCTURE_KEYS, Edges, levels_to_image
from keras_ctsdg.data._batches import WorkerBatch, is_worker_process
from keras_ctsdg.data._checks import check_seed, check_shard, check_sigma, check_size
from keras_ctsdg.data._shards import count_batches, load_batch
from keras_ctsdg.data._skipped_files import OnError, SkippedFiles
from keras_ctsdg.data.augment import apply_augment, as_seeded_augment
from keras_ctsdg.data.crop import Crop, crop_and_resize
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.masks import RandomIrregularMasks
from keras_ctsdg.data.pairs import open_images_and_masks


class InpaintingDataset(keras.utils.PyDataset):
    """Images and masks in batches, to train and evaluate a `keras_ctsdg.CTSDG`.

    A sample depends on `seed`, the epoch and its index alone: not on the batch size,
    the workers, or where training was resumed.

    Args:
        images: Images of any size: path of a folder (searched to any depth), of a
            zip (read in place) or of an image, or a pattern such as
            `"photos/*.jpg"`; or a list of paths, PIL images, bytes or arrays
            `[H, W, 3]` (integers in [0, 255], or floats in [0, 1]). They are rotated
            as their EXIF says; gray, palette, CMYK and 16-bit ones become RGB,
            transparent pixels become white, and of an animation the first frame
            is used. Files that seem to be images but cannot be opened are named in
            a warning.
        masks: The same kinds of sources, where white marks the hole; the folder of
            the images, if it holds `a_mask001.png` beside `a.png`; or a
            `keras_ctsdg.data.RandomIrregularMasks`, which `None` stands for.
            Defaults to `None`.
        batch_size: Int. Defaults to `6`, as in the paper.
        image_size: Int, or tuple `(H, W)`; multiples of 128 for the network.
            Defaults to `256`.
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations; with `None` the model computes gray and edge on its
            device, with its own `sigma`. Defaults to `"clean"`.
        sigma: Float, the standard deviation of Canny's Gaussian in pixels. Defaults
            to `2.0`.
        shuffle: Bool. `True`, for training: images in random order, each with a
            random mask. `False`, for evaluation: image i with mask i modulo the
            number of masks. Defaults to `True`.
        crop: The part of an image that is resized (bilinear, antialiased) to
            `image_size`. `"center"`: the largest box of its aspect ratio in the
            center. `"random"`, an augmentation for training: a box of that aspect
            ratio at a random position, with a scale uniform from `image_size` itself
            to the largest box (which smaller images always use). `None`: the whole
            image, stretched. Defaults to `"center"`.
        horizontal_flip: Bool, whether a random half of the images is mirrored.
            Defaults to `False`.
        augment: Keras layer, or callable of an image or of `(image, rng)`: a float32
            array `[H, W, 3]` in [0, 255] and a `numpy.random.Generator` that belongs
            to the epoch and the index of the sample. It returns an image of the same
            shape and range; overshoots are clipped. Edges are computed afterwards.
            Layers of KerasCV use TensorFlow's own random numbers, which `seed` does
            not determine. Defaults to `None`.
        steps_per_epoch: Int, the number of batches in an epoch. Defaults to `None`:
            each image once. The argument of `fit` with that name overrides it, but
            with `shuffle=False` continues where the epoch before stopped.
        drop_remainder: Bool, whether a last batch that is not full is left out.
            Defaults to `False`.
        shard: Tuple `(rank, count)`: the part for one of several processes. Batches
            of all shards make up that of one process with `count * batch_size`.
            Defaults to `(0, 1)`.
        on_error: `"raise"`, or `"skip"` for images and masks that cannot be used: in
            training the next one replaces them; in evaluation the image is left out
            of its batch, in which one image must remain. Each file is reported in a
            warning and listed in `skipped`. Defaults to `"raise"`.
        seed: Int, not negative. Defaults to `0`.
        **kwargs: Arguments of `keras.utils.PyDataset`: `workers`,
            `use_multiprocessing` and `max_queue_size`.

    Yields:
        Dict of float32 arrays: `image` `[B, H, W, 3]` in [-1, 1], `gray`
        `[B, H, W, 1]` in [0, 1], `edge` and `mask` `[B, H, W, 1]`, 0 or 1, where 1
        in a mask marks the hole. With `edges=None`, only `image` and `mask`. Several
        shards also yield `sample_weight` `[B]`: 1, or 0 for samples that only fill up
        the parts of a batch that would not be equal.

    Raises:
        ValueError: If an argument breaks a rule above; later, if an image or a
            mask cannot be used, naming it.

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
        crop="center",
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
        self.crop = check_choice("crop", crop, (*Crop, None))
        self.on_error = check_choice("on_error", on_error, OnError)
        self.shard = check_shard(shard)
        self.sigma = check_sigma(sigma, edges)
        if steps_per_epoch is not None:
            check_positive("steps_per_epoch", steps_per_epoch)
        self.shuffle = shuffle
        self.horizontal_flip = horizontal_flip
        self.augment = augment
        self._augment = None
        if augment is not None:
            self._augment = as_seeded_augment(augment, self.use_multiprocessing)
        self.steps_per_epoch = steps_per_epoch
        self.drop_remainder = drop_remainder
        self.seed = check_seed(seed)
        self.images, masks = open_images_and_masks(images, masks)
        self._random_masks = masks is None or isinstance(masks, RandomIrregularMasks)
        self.masks: Any = RandomIrregularMasks(seed=seed) if masks is None else masks
        self.epoch = 0
        self.skipped = SkippedFiles()
        self._permutations = {}
        self._main_process_id = os.getpid()
        is_too_small = shuffle and len(self.images) < self.shard[1]
        if is_too_small or len(self) == 0 or self.num_samples == 0:
            raise ValueError(
                "`images` must fill at least one batch on each of the "
                f"{self.shard[1]} shards. Received: {len(self.images)} images, "
                f"batch_size={batch_size}, drop_remainder={drop_remainder}"
            )

    # === Batches ===

    @property
    def num_samples(self):
        """Number of samples in an epoch of this shard."""
        if self.steps_per_epoch is not None:
            return self.steps_per_epoch * self.batch_size
        rank, count = self.shard
        return len(range(rank, len(self.images), count))

    def __len__(self):
        return count_batches(self)

    def __getitem__(self, index):
        batch = load_batch(self, index)
        is_worker = is_worker_process(self._main_process_id)
        return WorkerBatch(batch, self.skipped) if is_worker else batch

    def on_epoch_end(self):
        self.epoch += 1

    # === Samples ===

    def source_indices(self, index):
        """Return which image and which mask make up a sample of this epoch.

        Args:
            index: Int, at most `num_samples - 1`.

        Returns:
            Tuple of the indices in `images` and in `masks`. The second is `None` for
            `keras_ctsdg.data.RandomIrregularMasks`.
        """
        index = self._global_index(index)
        cycle, image_index = divmod(index, len(self.images))
        if not self.shuffle:
            mask_index = None if self._random_masks else index % len(self.masks)
            return image_index, mask_index
        image_index = int(self._permutation(cycle)[image_index])
        if self._random_masks:
            return image_index, None
        return image_index, int(self._rng(index, "mask").integers(len(self.masks)))

    def source_names(self, index):
        """Return the names of the image and the mask of a sample of this epoch.

        Once the sample was loaded, the names of skipped files are those of the files
        that replace them.

        Args:
            index: Int, at most `num_samples - 1`.

        Returns:
            Tuple of two str; the second is `"random"` for
            `keras_ctsdg.data.RandomIrregularMasks`.
        """
        image_index, mask_index = self.source_indices(index)
        if self.shuffle:
            image_index = self.skipped.first_usable(self.images, image_index)
        if mask_index is None:
            return self.images.name(image_index), "random"
        mask_index = self.skipped.first_usable(self.masks, mask_index)
        return self.images.name(image_index), self.masks.name(mask_index)

    def sample(self, index):
        """Return a sample of this epoch.

        Args:
            index: Int, at most `num_samples - 1`.

        Returns:
            Dict of arrays as the data set yields it, without the batch axis; `None`
            if the image is skipped in evaluation.
        """
        image_index, mask_index = self.source_indices(index)
        image = self._load(self.images, self._load_image, image_index, self.shuffle)
        if image is None:
            return None
        index = self._global_index(index)
        sample = {"image": self._preprocess(image, index)}
        if self.edges is not None:
            structure = gray_and_edge(sample["image"], self.edges, self.sigma)
            sample |= zip(STRUCTURE_KEYS, structure, strict=True)
        if mask_index is None:
            key = (self.epoch, index) if self.shuffle else index
            sample["mask"] = self.masks(key, self.image_size)
        else:
            sample["mask"] = self._load(self.masks, self._load_mask, mask_index)
        return sample

    def _global_index(self, index):
        """Return the index of a sample among those of all shards."""
        rank, count = self.shard
        return index * count + rank

    def _permutation(self, cycle):
        """Return the order of the images in one of the epoch's passes over them."""
        key = (self.epoch, cycle)
        if key not in self._permutations:
            order = self._rng(cycle, "order").permutation(len(self.images))
            self._permutations = {key: order}
        return self._permutations[key]

    def _rng(self, index, purpose):
        stream = ("order", "mask", "image", "crop").index(purpose)
        return np.random.default_rng([self.seed, stream, self.epoch, index])

    # === Images and masks ===

    def _load_image(self, image_index):
        if self.crop == Crop.RANDOM:
            # The box may be as small as `image_size` and needs the full resolution.
            return self.images.load(image_index)
        return self.images.load(image_index, shrink_to=2 * max(self.image_size))

    def _load_mask(self, mask_index):
        return self.masks.load(mask_index, self.image_size)

    def _load(self, files, load, index, replace=True):
        """Load a file, or what `on_error` says in place of one that is unusable."""
        if self.on_error == OnError.RAISE:
            return load(index)
        # What a worker skips is reported by the main process.
        warn = not is_worker_process(self._main_process_id)
        return self.skipped.load_usable(files, load, index, replace, warn)

    def _preprocess(self, image, index):
        """Crop, resize, flip and augment an image; return an array in [-1, 1]."""
        crop_rng, rng = self._rng(index, "crop"), self._rng(index, "image")
        size = self.image_size[::-1]
        image = crop_and_resize(image, size, self.crop, crop_rng)
        image = np.asarray(image, "float32")
        if self.horizontal_flip and rng.random() < 0.5:
            image = image[:, ::-1]
        if self._augment is not None:
            image = apply_augment(self._augment, image, rng)
        return levels_to_image(image)
