"""The demo's files, each of which belongs to one tab of one browser."""

import re
import secrets
import shutil
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Files of a page that closed without saying so are deleted after this time.
IDLE_SECONDS = 600
# What a file counts at least, so that empty ones are not for free.
SMALLEST = 2**16
# Tabs whose browser is remembered.
MAX_TABS = 10_000


class BudgetError(ValueError):
    """An upload for which there is no room."""


class Session(NamedTuple):
    """One page in a browser.

    Attributes:
        browser: Str, the value of the browser's cookie.
        tab: Str, what Gradio calls this page, or `None` for a file whose uploader did
            not say; the first page that names the file then owns it.
    """

    browser: str
    tab: str | None


@dataclass
class _File:
    session: Session
    slot: str | None
    size: int
    touched: float


class SessionFiles:
    """Files by session: who may name them, how much they take, when they go.

    Args:
        folder: Path of a folder.
        budget: Int, the bytes that the uploads of all sessions may take together.
    """

    def __init__(self, folder, budget):
        # Links in the folder's own path would make every file's path look foreign.
        self.folder = Path(folder).resolve()
        self.budget = budget
        self._files = {}
        self._public = set()
        self._browsers = {}
        self._open = Counter()
        self._reserved = 0
        self._lock = threading.RLock()

    def publish(self, paths):
        """Let everyone read these files of the demo itself.

        Args:
            paths: Iterable of paths.
        """
        self._public.update(map(str, paths))

    def is_own(self, session):
        """Return whether a tab is this browser's: the first to name a tab has it.

        Args:
            session: `Session`.
        """
        with self._lock:
            if session.tab not in self._browsers and len(self._browsers) >= MAX_TABS:
                del self._browsers[next(iter(self._browsers))]
            owner = self._browsers.setdefault(session.tab, session.browser)
            return owner == session.browser

    @contextmanager
    def reserve(self, size):
        """Hold a part of the budget while a file is uploaded.

        Args:
            size: Int, bytes.

        Raises:
            BudgetError: If that exceeds the budget.
        """
        size = max(size, SMALLEST)
        with self._lock:
            used = self._reserved + sum(file.size for file in self._files.values())
            if used + size > self.budget:
                raise BudgetError(
                    f"All uploads together must take at most {self.budget / 2**20:g} "
                    "MB (ten times the option --max-upload-mb): close other pages of "
                    f"this demo. Received: {size / 2**20:.1f} MB more than the "
                    f"{used / 2**20:.1f} MB there are"
                )
            self._reserved += size
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size

    def add(self, session, name, slot=None, size=None):
        """Make room for a file of a session, in a folder that nobody can guess.

        Args:
            session: `Session`.
            name: Str, the file's name as a user gave it.
            slot: Str, what the file is to the session; the session's earlier file in
                that slot is deleted. Defaults to `None`.
            size: Int, the bytes of an upload, which count against the budget. Defaults
                to `None`, for results.

        Returns:
            `pathlib.Path` of the file, which is to be written.
        """
        # The end of a long name has the file's ending.
        name = re.sub(r"[^\w.() -]", "_", Path(name).name)[-60:].strip(". ") or "file"
        path = self.folder / secrets.token_urlsafe(16) / name
        path.parent.mkdir()
        size = 0 if size is None else max(size, SMALLEST)
        with self._lock:
            self._files[str(path)] = _File(session, None, size, time.monotonic())
            if slot is not None:
                self.assign(session, slot, path)
        return path

    def assign(self, session, slot, path):
        """Put one of a session's files into a slot and delete what was there.

        Args:
            session: `Session`.
            slot: Str.
            path: Path of the file, or `None` if the slot becomes empty.
        """
        with self._lock:
            for other, file in list(self._files.items()):
                if (file.session, file.slot) == (session, slot) and other != str(path):
                    self._delete(other)
            if str(path) in self._files:
                self._files[str(path)].slot = slot

    def may_read(self, browser, path):
        """Return whether a browser may see a file.

        Args:
            browser: Str, as in `Session`.
            path: Str. Only the very path that `add` returned is known, so that no
                other spelling of it needs to be thought of.
        """
        file = self._files.get(path)
        known = path in self._public or file and file.session.browser == browser
        return bool(known) and self._is_inside(path)

    def may_use(self, session, path):
        """Return whether a session may name a file, as its photo for example.

        Args:
            session: `Session`.
            path: Str, as `may_read` takes it.
        """
        with self._lock:
            if not self.may_read(session.browser, path):
                return False
            if path in self._public:
                return True
            file = self._files[path]
            file.touched = time.monotonic()
            if file.session.tab is None:
                file.session = session
            return file.session == session

    @contextmanager
    def open(self, session):
        """Keep a session's files while its page is open, and delete them afterwards.

        Args:
            session: `Session`.
        """
        with self._lock:
            self._open[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]
                    self._browsers.pop(session.tab, None)
                    self._delete_where(lambda file: file.session == session)

    def delete_idle(self):
        """Delete the files of pages that are not open, if unused for a while."""
        oldest = time.monotonic() - IDLE_SECONDS
        with self._lock:
            self._delete_where(
                lambda file: file.touched < oldest and file.session not in self._open
            )

    def _is_inside(self, path):
        path = Path(path)
        # Of what lies in the folder, nothing is a link, unless someone put it there.
        return path.resolve() == path and path.is_relative_to(self.folder)

    def _delete_where(self, condition):
        for path, file in list(self._files.items()):
            if condition(file):
                self._delete(path)

    def _delete(self, path):
        del self._files[path]
        shutil.rmtree(Path(path).parent, ignore_errors=True)
