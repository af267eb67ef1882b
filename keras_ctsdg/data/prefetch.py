from collections import deque
from concurrent.futures import ThreadPoolExecutor


def prefetch(load, keys):
    """Load the next value in a thread while the caller uses the current one.

    At most one value is loaded ahead.

    Args:
        load: Callable of a key.
        keys: Iterable of keys.

    Yields:
        The values that `load` returns, in the order of the keys.
    """
    with ThreadPoolExecutor(1) as executor:
        waiting = deque()
        for key in keys:
            waiting.append(executor.submit(load, key))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
