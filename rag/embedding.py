"""Embeds text with a model that is part of an installed package: no download, no network access, no GPU."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(Protocol):
    """Maps texts to unit vectors, and identifies the model that it uses."""

    @property
    def digest(self) -> str:
        """Identifies the model: equal digests mean equal vectors for equal texts."""

    @property
    def dimensions(self) -> int:
        """Length of each vector."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts: float32 of shape (len(texts), dimensions). Rows have length 1; rows of blank texts are zero."""


class WordLlamaEmbedder:
    """The averaged static token embeddings of WordLlama: 256 dimensions, about 1 ms per page of text on one core.

    Deterministic. The model is loaded on first use and shared by all threads.
    """

    dimensions = 256

    def __init__(self) -> None:
        self._lock = Lock()
        self._model: Any = None
        self._digest = ""

    @property
    def digest(self) -> str:
        """`wordllama-` followed by 16 hexadecimal digits: a hash of the weights and the tokenizer."""
        if not self._digest:
            state = hashlib.blake2b(digest_size=8)
            for path in _model_files():
                state.update(path.read_bytes())
            self._digest = f"wordllama-{state.hexdigest()}"
        return self._digest

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts; see `Embedder.embed`."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        vectors = self._loaded().embed(list(texts), norm=False)
        # Not the library's own normalization: it divides by zero for a text without tokens.
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = np.divide(
            vectors, lengths, out=np.zeros_like(vectors, dtype=np.float32), where=lengths > 0
        )
        return unit

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load()
        return self._model


def _folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The package wordllama isn't installed. Run `make setup`.")
    return Path(spec.origin).parent


def _model_files() -> list[Path]:
    folder = _folder()
    return [
        folder / "weights" / "l2_supercat_256.safetensors",
        folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
    ]


def _load() -> Any:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from wordllama import WordLlama

    # The import calls logging.basicConfig; this restores the platform's log configuration.
    root.handlers[:], root.level = handlers, level
    return WordLlama.load(cache_dir=_folder(), disable_download=True)
