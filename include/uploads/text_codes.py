"""Distinct texts of a whole upload, numbered in the order in which they came.

An upload repeats its few symbols and dates millions of times, so a row holds the number and the text is held once. How
many distinct texts there may be is bounded: it is the only thing here that a hostile file could make grow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import InputError

Codes = npt.NDArray[np.int32]


class TextCodes:
    """Texts → numbers.

    Parameters
    ----------
    what
        What the texts are, in the plural, for the message.
    limit
        How many there may be.
    place
        File name, for the message.
    """

    def __init__(self, what: str, limit: int, place: str) -> None:
        self._what, self._limit, self._place = what, limit, place
        self.texts = pa.array([], pa.string())

    def __len__(self) -> int:
        return len(self.texts)

    def encode(self, texts: pa.Array) -> Codes:
        """Number some texts, the new ones after all that are known.

        Parameters
        ----------
        texts
            string (n,), no nulls; may repeat.

        Returns
        -------
        numpy.ndarray
            int32 (n,), positions in `texts` of this object.

        Raises
        ------
        InputError
            There are more distinct texts than allowed.
        """
        found = pc.index_in(texts, value_set=self.texts)
        if found.null_count:
            self._add(texts.filter(found.is_null()).unique())
            found = pc.index_in(texts, value_set=self.texts)
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)

    def _add(self, new: pa.Array) -> None:
        known = len(self.texts) + len(new)
        if known > self._limit:
            rule = f"an upload must have at most {self._limit:,} distinct {self._what}"
            raise InputError(rule, value=f"{known:,} or more", place=self._place)
        self.texts = pa.concat_arrays([self.texts, new])
