"""Files that a data set went on without."""

import warnings


class Skipped(dict):
    """Names of files that can't be used, and why; of each is warned once."""

    def add(self, name, reason):
        if name not in self:
            self[name] = reason
            warnings.warn(f"Skipped: {reason}", stacklevel=3)

    def pass_over(self, files, index):
        """The number of the first file from `index` on that isn't skipped.

        Args:
            files: `ImageFiles` or `MaskFiles`.
            index: Int, also what is returned if all are skipped.
        """
        turns = ((index + i) % len(files) for i in range(len(files)))
        return next((at for at in turns if files.name(at) not in self), index)
