from collections import deque
from concurrent.futures import ThreadPoolExecutor


def prefetch(load, keys):
    """Load the next item while the last is used, never more than that.

    Args:
        load: Callable of a key, run in a thread.
        keys: Iterable of keys.

    Yields:
        What `load` returns, in the order of the keys.
    """
    with ThreadPoolExecutor(1) as executor:
        waiting = deque()
        for key in keys:
            waiting.append(executor.submit(load, key))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
