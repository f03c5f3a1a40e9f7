"""How a Keras network of features is learned, and what it is once it has been: the same for every network.

The loss is the absolute error, each window weighing as its volatility does, which is the error that is judged: on real
markets that matters more than the network. Features are computed once, before the epochs, by the layer that the
finished graph begins with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from models.configured import Configured
from models.features import FEATURES, split_columns, take_newest, wrap_raw
from models.keras_runtime import checkpoint_callbacks, keras, known_warnings_ignored, prepare_keras
from models.onnx_export import export_onnx
from models.protocol import Floats, OnProgress
from models.standardise import Lesson, prepare_lesson

FORECAST_LAYER = "forecast"
"""A core's last layer, without activation: what the targets were divided by goes into its weights."""

EACH_LAYER = "each"
"""What networks that a core averages forecast, (n, networks, 2): each learns for itself, though all in one step."""

_PREDICT_BATCH = 16_384


@dataclass(frozen=True)
class KerasHyperparameters:
    """What shapes the fit of any network; the ranges are where a value is reasonable, not all of them tried.

    Attributes
    ----------
    lookback
        Raw sessions in a window, 6..10.
    seen
        Newest sessions whose features the network takes, 3 to lookback - 1: all of them say how volatile the symbol is.
    batch_size
        Windows in a step, 1024..8192.
    epochs
        Most passes over the windows, 1..6.
    most_seen
        Windows learned from, passes counted, 100,000..10,000,000: where there are many, there are fewer passes.
    learning_rate
        Adam's at the start, 1e-3..1e-2; it falls to zero as a cosine.
    """

    lookback: int = 10
    seen: int = 6
    batch_size: int = 4096
    epochs: int = 6
    most_seen: int = 1_000_000
    learning_rate: float = 5e-3

    def count_passes(self, n_train: int) -> int:
        """Count the passes over so many windows: at least one, and no more than `epochs`."""
        return max(1, min(self.epochs, round(self.most_seen / n_train)))


Chosen = TypeVar("Chosen", bound=KerasHyperparameters)


class FittedKeras:
    """A core of features with the feature layers before it, and how it was learned."""

    def __init__(
        self,
        name: str,
        core: Any,
        lookback: int,
        learning_curve: list[dict[str, float]],
        market: tuple[str, ...] = (),
    ) -> None:
        self._name, self.core, self._lookback, self.learning_curve = name, core, lookback, learning_curve
        self._market, self._network = market, wrap_raw(core, lookback, market)

    def predict(self, windows: Floats) -> Floats:
        """Forecast (n, 2) log returns from raw windows (n, lookback, 6 and the market-wide columns), by Keras."""
        return np.asarray(self._network.predict(split_columns(windows), batch_size=_PREDICT_BATCH, verbose=0))

    def save_onnx(self, path: Path) -> None:
        """Write the graph from raw windows to log returns."""
        export_onnx(self._network, path, lookback=self._lookback, market=self._market)

    def save_original(self, folder: Path) -> None:
        """Write NAME.keras: architecture as JSON and weights, no code; `models.features` names its layers."""
        with known_warnings_ignored():
            self._network.save(folder / f"{self._name}.keras")


class KerasModel(Configured[Chosen]):
    """A network before fit: a subclass names itself and its hyperparameters, and builds its layers."""

    name: ClassVar[str]
    is_naive: ClassVar[bool] = False

    @property
    def n_features(self) -> int:
        """Features of a session: a window's own, then the market-wide columns."""
        return len(FEATURES) + len(self.market_columns)

    def build_core(self) -> Any:
        """Build a model of features (n, seen, n_features) that forecasts (n, 2) by its layer FORECAST_LAYER.

        Where that layer begins with zeros, the network begins as the last close.
        """
        raise NotImplementedError

    def fit(
        self,
        windows: Floats,
        targets: Floats,
        *,
        seed: int,
        threads: int,
        on_progress: OnProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedKeras:
        """Compute the features of all windows and learn from them.

        Raises
        ------
        ValueError
            If there are fewer than 20 windows.
        """
        prepare_keras(seed=seed, threads=threads)
        return self.learn(
            prepare_lesson(windows, targets, self.market_columns), on_progress=on_progress, checkpoint=checkpoint
        )

    def learn(
        self, lesson: Lesson, *, on_progress: OnProgress | None = None, checkpoint: Path | None = None
    ) -> FittedKeras:
        """Fit on features that are there already."""
        core = self.build_core()
        curve = learn_core(core, lesson, self.hyperparameters, on_progress=on_progress, checkpoint=checkpoint)
        return FittedKeras(self.name, core, self.lookback, curve, self.market_columns)


def learn_core(
    core: Any,
    lesson: Lesson,
    chosen: KerasHyperparameters,
    *,
    on_progress: OnProgress | None = None,
    checkpoint: Path | None = None,
) -> list[dict[str, float]]:
    """Learn a core's weights.

    Parameters
    ----------
    core
        As `KerasModel.build_core` gives it; it is changed.
    on_progress
        Called after each epoch.
    checkpoint
        Folder of Keras' own checkpoints, one an epoch; gone once the fit has ended.

    Returns
    -------
    list
        Loss of each epoch.
    """
    weights, y = lesson.importance, lesson.standardised
    typical = (np.abs(y) * weights[:, None]).mean(axis=0) + 1e-3  # both targets weigh the same in the loss
    passes = chosen.count_passes(len(lesson))
    learner = _find_learner(core)
    compile_core(learner, chosen, len(lesson))
    history = learner.fit(
        take_newest(core, lesson.features),
        np.tile(y / typical, learner.output_shape[-1] // y.shape[-1]),
        sample_weight=weights,
        batch_size=chosen.batch_size,
        epochs=passes,
        callbacks=checkpoint_callbacks(checkpoint) + _progress_callbacks(on_progress, passes),
        verbose=0,
    ).history
    _scale_output(core, typical)
    _shift_output(core, -lesson.excess_drift(lambda x: keras.ops.convert_to_numpy(core(take_newest(core, x)))))
    # A fit that goes on from its last epoch's checkpoint has no history of its own.
    return [{"loss": float(loss)} for loss in history.get("loss", [])]


def _find_learner(core: Any) -> Any:
    """Give the model whose loss is the mean of what its networks lose; the core itself where it is one network."""
    if EACH_LAYER not in [layer.name for layer in core.layers]:
        return core
    return keras.Model(core.input, keras.layers.Flatten()(core.get_layer(EACH_LAYER).output))


def compile_core(core: Any, chosen: KerasHyperparameters, n_windows: int) -> None:
    """Give a core its loss, and an optimiser for so many windows."""
    steps = chosen.count_passes(n_windows) * -(-n_windows // chosen.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps)
    # XLA was measured to need 40 s to compile the unrolled steps, and to run them no faster.
    core.compile(keras.optimizers.Adam(rate), keras.losses.MeanAbsoluteError(), jit_compile=False)


def average_cores(cores: list[Any], lookback: int, *, n_features: int) -> Any:
    """Build the mean of what cores forecast from the same features (n, lookback - 1, n_features), as one core."""
    features = keras.Input((lookback - 1, n_features))
    return keras.Model(features, keras.layers.Average()([core(take_newest(core, features)) for core in cores]))


def _progress_callbacks(on_progress: OnProgress | None, epochs: int) -> list[Any]:
    if on_progress is None:
        return []
    return [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_progress(epoch + 1, epochs, logs))]


def _scale_output(core: Any, factors: Floats) -> None:
    """Multiply both forecasts (n, 2) by factors (2,), in the weights, so that nothing is left to do outside."""
    layer = core.get_layer(FORECAST_LAYER)
    layer.set_weights([weights * factors for weights in layer.get_weights()])


def _shift_output(core: Any, added: Floats) -> None:
    """Add (2,) to both forecasts, in the bias of their layer."""
    layer = core.get_layer(FORECAST_LAYER)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + added])
