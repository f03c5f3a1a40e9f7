"""A bidirectional GRU over the features of a window, one model for all symbols, with the features inside its graph.

The loss is nearly absolute (a Huber loss whose corner lies low): on real markets that matters more than the model.
Half of the windows are learned from upside down, so that the network is nearly blind to the market's drift.
Features are computed once, before the epochs, by the layer that the finished graph begins with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from models.features import FEATURES, compute_features, mirror_features, wrap_raw
from models.keras_runtime import keras, known_warnings_ignored, prepare_keras
from models.onnx_export import export_onnx
from models.protocol import TARGETS, Floats, OnProgress
from models.standardise import choose_shrinkage, count_training, standardise_targets

_PREDICT_BATCH = 16_384


@dataclass(frozen=True)
class BiGRUHyperparameters:
    """What shapes a fit; the ranges are where a value is reasonable, not all of them tried.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 6..12.
    hidden
        Units of the GRU in each direction, 16..50.
    head
        Units of the layer between the GRU and the forecast, 16..64.
    batch_size
        Windows in a step, 1024..8192.
    epochs
        Most passes over the windows, 2..6.
    patience
        Epochs without a better validation loss before the fit stops, 1..3.
    learning_rate
        Adam's at the start, 1e-3..1e-2; it falls to zero as a cosine.
    huber_delta
        Where the loss turns from square to absolute, in mean absolute targets, 0.05..0.5.
    """

    lookback: int = 8
    hidden: int = 16
    head: int = 32
    batch_size: int = 4096
    epochs: int = 3
    patience: int = 1
    learning_rate: float = 5e-3
    huber_delta: float = 0.1


class FittedBiGRU:
    """The network with its feature layers before it, and how it was learned."""

    def __init__(self, network: Any, lookback: int, learning_curve: list[dict[str, float]]) -> None:
        self._network, self._lookback, self.learning_curve = network, lookback, learning_curve

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6), by Keras."""
        return np.asarray(self._network.predict(windows, batch_size=_PREDICT_BATCH, verbose=0))

    def save_onnx(self, path: Path) -> None:
        """Write the graph from raw windows to log returns."""
        export_onnx(self._network, path, lookback=self._lookback)

    def save_original(self, folder: Path) -> None:
        """Write bigru.keras: architecture as JSON and weights, no code; `models.features` names its layers."""
        with known_warnings_ignored():
            self._network.save(folder / "bigru.keras")


class BiGRU:
    """The model before fit."""

    name: ClassVar[str] = "bigru"

    def __init__(self, hyperparameters: BiGRUHyperparameters | None = None) -> None:
        self.hyperparameters = hyperparameters or BiGRUHyperparameters()

    @property
    def lookback(self) -> int:
        """Raw sessions in a window."""
        return self.hyperparameters.lookback

    def fit(
        self, windows: Floats, targets: Floats, *, seed: int, threads: int, on_progress: OnProgress | None = None
    ) -> FittedBiGRU:
        """Learn from the oldest nine tenths, stop and shrink by the newest tenth.

        Parameters
        ----------
        windows, targets
            (n, lookback, 6) and (n, 2), in time order.
        on_progress
            Called after each epoch.

        Raises
        ------
        ValueError
            If there are fewer than 20 windows.
        """
        n_train = count_training(len(windows))
        prepare_keras(seed=seed, threads=threads)
        features, units = compute_features(windows)
        standardised = standardise_targets(targets, units)
        typical = np.abs(standardised[:n_train]).mean(axis=0) + 1e-3  # both targets weigh the same in the loss
        core = _build_core(self.hyperparameters)
        mirrored, signs = _mirror_half(features, n_train, seed)
        curve = _learn(
            core,
            mirrored,
            standardised / typical * signs,
            n_train=n_train,
            chosen=self.hyperparameters,
            on_progress=on_progress,
        )
        newest = core.predict(features[n_train:], batch_size=_PREDICT_BATCH, verbose=0) * typical * units[n_train:]
        _scale_output(core, typical * choose_shrinkage(targets[n_train:], newest))
        return FittedBiGRU(wrap_raw(core, self.lookback), self.lookback, curve)


def _mirror_half(features: Floats, n_train: int, seed: int) -> tuple[Floats, Floats]:
    """Mirror half of the windows to learn from, at random; also give what to multiply their targets by, (n, 1)."""
    chosen = np.random.default_rng(seed).random(len(features)) < 0.5
    chosen[n_train:] = False
    mirrored = np.where(chosen[:, None, None], mirror_features(features), features)
    return mirrored, np.where(chosen[:, None], -1.0, 1.0)


def _build_core(chosen: BiGRUHyperparameters) -> Any:
    """Features (n, lookback - 1, 6) to forecasts (n, 2); it starts as the last close, by an output layer of zeros."""
    features = keras.Input((chosen.lookback - 1, len(FEATURES)))
    summary = keras.layers.Bidirectional(keras.layers.GRU(chosen.hidden, unroll=True))(features)
    newest = keras.layers.Flatten()(features[:, -2:, :])  # what matters most need not pass through the gates
    hidden = keras.layers.Dense(chosen.head, activation="swish")(keras.layers.Concatenate()([summary, newest]))
    forecast = keras.layers.Dense(len(TARGETS), kernel_initializer="zeros", name="forecast")(hidden)
    return keras.Model(features, forecast)


def _learn(
    core: Any,
    features: Floats,
    targets: Floats,
    *,
    n_train: int,
    chosen: BiGRUHyperparameters,
    on_progress: OnProgress | None,
) -> list[dict[str, float]]:
    steps = chosen.epochs * -(-n_train // chosen.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps)
    # XLA was measured to need 40 s to compile the unrolled steps, and to run them no faster.
    core.compile(keras.optimizers.Adam(rate), keras.losses.Huber(chosen.huber_delta), jit_compile=False)
    stopping = keras.callbacks.EarlyStopping(patience=chosen.patience, restore_best_weights=True)
    history = core.fit(
        features[:n_train],
        targets[:n_train],
        validation_data=(features[n_train:], targets[n_train:]),
        validation_batch_size=_PREDICT_BATCH,
        batch_size=chosen.batch_size,
        epochs=chosen.epochs,
        callbacks=[stopping, *_progress_callbacks(on_progress, chosen.epochs)],
        verbose=0,
    ).history
    figures = [[float(value) for value in history[name]] for name in ("loss", "val_loss")]
    return [{"loss": loss, "val_loss": val_loss} for loss, val_loss in zip(*figures, strict=True)]


def _progress_callbacks(on_progress: OnProgress | None, epochs: int) -> list[Any]:
    if on_progress is None:
        return []
    return [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_progress(epoch + 1, epochs, logs))]


def _scale_output(core: Any, factors: Floats) -> None:
    """Multiply both forecasts (n, 2) by factors (2,), in the weights, so that nothing is left to do outside."""
    layer = core.get_layer("forecast")
    layer.set_weights([weights * factors for weights in layer.get_weights()])
