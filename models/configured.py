"""What every model is before its fit, whatever it learns: its hyperparameters, and the window that they ask for."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar


class Hyperparameters(Protocol):
    """A frozen dataclass that says how far a window goes back."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def lookback(self) -> int:
        """Raw sessions in a window."""
        ...


Chosen = TypeVar("Chosen", bound=Hyperparameters)


class Configured(Generic[Chosen]):
    """A model by its hyperparameters, its own defaults where none are given."""

    hyperparameters_type: ClassVar[type[Any]]
    market_columns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, hyperparameters: Chosen | None = None) -> None:
        self.hyperparameters: Chosen = hyperparameters or self.hyperparameters_type()

    @property
    def lookback(self) -> int:
        """Raw sessions in a window."""
        return self.hyperparameters.lookback
