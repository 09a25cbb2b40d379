"""What this agent has pulled, kept in its state folder: a small file, replaced whenever it changes."""

import contextlib
import json
import logging
import threading
from collections.abc import Set
from dataclasses import asdict, replace
from pathlib import Path

from agent.collecting import PulledImage

log = logging.getLogger(__name__)

_FILE = "images.json"


class PulledImages:
    """Any thread may use it. A file that can't be read counts as empty: then no image is taken for the agent's."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._lock = threading.Lock()
        self._images = {each.name: each for each in self._load()}

    def all(self) -> tuple[PulledImage, ...]:
        with self._lock:
            return tuple(self._images.values())

    def has(self, name: str) -> bool:
        with self._lock:
            return name in self._images

    def note(self, image: PulledImage) -> None:
        """Remember an image that was just pulled, and was not there before."""
        with self._lock:
            self._images[image.name] = image
            self._save()

    def used(self, names: Set[str], now: float) -> None:
        """Remember that images are needed now. It is saved with the next change only."""
        with self._lock:
            for name in self._images.keys() & names:
                self._images[name] = replace(self._images[name], used_at=now)

    def forget(self, name: str) -> None:
        with self._lock:
            if self._images.pop(name, None) is not None:
                self._save()

    def _load(self) -> list[PulledImage]:
        with contextlib.suppress(FileNotFoundError):
            try:
                return [PulledImage(**each) for each in json.loads(self._path.read_text())]
            except (ValueError, TypeError) as error:
                log.warning("record of pulled images not readable file=%s error=%s", self._path, error)
        return []

    def _save(self) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps([asdict(each) for each in self._images.values()]))
            temporary.replace(self._path)
        except OSError as error:  # a disk that is full to the brim; the record in memory still serves
            log.warning("record of pulled images not saved file=%s error=%s", self._path, error)
