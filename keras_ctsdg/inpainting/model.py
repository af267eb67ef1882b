"""What every model that fills images has in common."""

from typing import Any

from keras_ctsdg.inpainting.fill import inpaint
from keras_ctsdg.inpainting.options import InpaintOptions


class FillsImages:
    """A model that fills the holes in images of any kind.

    Its `generator` says which sizes it takes and what memory that needs, and its
    `predict_on_batch` fills batches.
    """

    generator: Any

    def inpaint(self, image, mask=None, **options):
        """Fill the holes in images of any kind and size, in their own pixels.

        Everything outside the hole is returned bit for bit.

        Alpha: with a mask, alpha is kept, and the network sees the colors under
        transparent pixels. Without one, pixels that are transparent by at least
        `threshold` are the hole, and become opaque; all others keep their alpha.

        Args:
            image: A path, the bytes of a file, an open file, a PIL image, an array
                `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]` (uint8, uint16,
                other integers in [0, 255], or floats in [0, 1]), a batch of arrays
                `[B, H, W, C]`, or a list of any of these. Tensors and nested lists
                are taken as arrays. PIL images may be of mode 1, L, LA, P, PA, RGB,
                RGBA, CMYK, YCbCr, HSV, I;16, or I with 16 bits. Of a file of several
                frames the first is filled, with a warning. Floats in the hole may be
                anything, NaN included.
            mask: An image of the same size, of any of these kinds, where white or 1
                marks the hole, or a color on black, or an alpha; one for all images,
                or one for each. What is unclear is refused; only a black mask has no
                hole. `keras_ctsdg.data.mask_levels` has the rules. It is oriented
                as the image is displayed, after its EXIF rotation; an array may also
                follow the image's rows as stored. `None` takes the transparent
                pixels of the image as the hole. Defaults to `None`.
            **options: Fields of `keras_ctsdg.inpainting.InpaintOptions`, which
                documents them: `strategy="auto"`, `size=384`, `invert_mask=False`,
                `threshold=0.5`, `dilate=0`, `feather=0` and `memory_limit=3.0`.

        Returns:
            The filled images in the form they were passed: list, batch or single;
            arrays of the same shape and dtype, PIL images of the same mode and size;
            for a path or bytes, a PIL image, or a `keras_ctsdg.inpainting.Image16`
            where Pillow would drop bits of the file; for tensors and nested lists,
            arrays. Palettes keep their colors, and the hole gets the nearest of them.
            `keras_ctsdg.inpainting.save_image` writes it as the file was encoded. For a
            mask without a hole there is a warning; the image is returned unchanged.

        Raises:
            ValueError: Before any work, if an argument breaks a rule above, a file
                cannot be read, sizes differ, a mask is unclear or covers the whole
                image, values outside the hole are not in [0, 1], or `strategy` needs
                more than `memory_limit`.

        Example:

        ```python
        filled = model.inpaint("photo.jpg", "mask.png", dilate=4)
        keras_ctsdg.inpainting.save_image(filled, "filled.jpg", like="photo.jpg")
        ```
        """
        return inpaint(self, image, mask, InpaintOptions(**options))
