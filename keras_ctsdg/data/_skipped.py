"""Files that a data set went on without, and how a worker process tells of them."""

import contextlib
import uuid
import warnings
import weakref

# Those of this process, for what comes back from its workers.
_KNOWN = weakref.WeakValueDictionary()


class Skipped(dict):
    """Names of files that can't be used, and why; of each is warned once."""

    def __init__(self):
        super().__init__()
        self.__setstate__({"id": uuid.uuid4().hex, "news": {}})

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self.id in _KNOWN:  # A copy, and no worker's.
            self.id = uuid.uuid4().hex
        _KNOWN[self.id] = self

    def add(self, name, reason, warn=True):
        if name in self:
            return
        self[name] = self.news[name] = reason
        if warn:
            warnings.warn(f"Skipped: {reason}", stacklevel=3)

    def take_news(self):
        """What was added since the last call, for `merge` in another process."""
        news, self.news = self.news, {}
        return self.id, news

    def pass_over(self, files, index):
        """The number of the first file from `index` on that isn't skipped.

        Args:
            files: `ImageFiles` or `MaskFiles`.
            index: Int, also what is returned if all are skipped.
        """
        turns = ((index + i) % len(files) for i in range(len(files)))
        return next((at for at in turns if files.name(at) not in self), index)


def merge(key, news):
    """Adds what a worker's `take_news` told to the data set it belongs to."""
    skipped = _KNOWN.get(key)
    if skipped is None:
        return
    for name, reason in news.items():
        # Where warnings are errors, one would end the thread that hands out batches.
        with contextlib.suppress(Warning):
            skipped.add(name, reason)
