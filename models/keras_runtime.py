"""Keras on TensorFlow, imported in one place: its backend chosen, its logging quietened, its threads bounded.

TensorFlow reads the variables below while it is imported, and prints to standard error before its own log level can
apply, so every module that uses Keras takes it from here.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STDERR = 2

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN sums in another order on every kind of processor
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # forecasts are made, and compared, on CPUs


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Send what native code writes to standard error nowhere; Python's exceptions still reach their caller."""
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


with _stderr_closed():
    import keras
    import tensorflow as tf

__all__ = ["checkpoint_callbacks", "keras", "known_warnings_ignored", "prepare_keras", "tf"]

for _name in ("tensorflow", "tf2onnx", "absl"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@contextmanager
def known_warnings_ignored() -> Iterator[None]:
    """Ignore what Keras 3.15 and its patch of tf2onnx make NumPy 2.4 say when a model is written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword", DeprecationWarning)
        yield


def prepare_keras(*, seed: int, threads: int) -> None:
    """Seed every generator that Keras uses and bound TensorFlow's threads.

    A process's threads can be set once, before TensorFlow's first operation: a later fit in the same process keeps the
    first one's.
    """
    keras.utils.set_random_seed(seed)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        logging.getLogger(__name__).debug("TensorFlow runs already: its threads stay as they are")


def checkpoint_callbacks(checkpoint: Path | None) -> list[Any]:
    """Give the callbacks by which a fit keeps its state after each epoch and goes on from it; none without a folder.

    The folder is removed when the fit ends. Two states are kept, since a process may die while it writes one.
    """
    if checkpoint is None:
        return []
    return [_Backup(str(checkpoint), double_checkpoint=True)]


class _Backup(keras.callbacks.BackupAndRestore):
    """Keras' own, without the warnings of its pinned versions."""

    def on_train_begin(self, logs: Any = None) -> None:
        with known_warnings_ignored():
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with known_warnings_ignored():
            super().on_epoch_end(epoch, logs)
