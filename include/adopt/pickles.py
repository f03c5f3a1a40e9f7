"""A pickle read as data: a machine for the few opcodes that plain values need, which imports nothing and calls nothing.

A pickle is a program whose GLOBAL and REDUCE fetch and call whatever they name. Here a global is only a name: it is
compared with those that are admitted, and what calling it would have made is made by us, from numbers and text. The
arguments of the opcodes are read by the standard library's `pickletools`, which executes nothing.

Bounds keep a file from filling the memory, and a key must be text: the hash of a tuple nested a million times over
would end the process.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.errors import InputError

MOST_BYTES = 32 * 2**20
"""A scaler of 10,000 symbols takes 31 MB."""

_MOST_OBJECTS, _MOST_STACKED = 6_000_000, 20_000
_RULE = "a pickle from outside may hold plain values and the classes that its contract admits"
_MARK = object()


@dataclass(frozen=True)
class Named:
    """What a GLOBAL names, and nothing of what lies behind the name."""

    name: str


@dataclass
class Made:
    """Stands for an instance of an admitted class: the class's name, and the state that BUILD gave it."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)
    value: Any = None


class RefusedError(Exception):
    """What is not done; `read_pickle` adds the place."""


@dataclass(frozen=True)
class Admitted:
    """What a pickle may ask of the class or function that it names.

    Attributes
    ----------
    call
        Makes what REDUCE would: called with the arguments, which are anything at all.
    new
        The same for NEWOBJ.
    build
        Takes the state that BUILD gives to what was made; its `kind` is the class's name.
    """

    call: Callable[[tuple[Any, ...]], Any] | None = None
    new: Callable[[tuple[Any, ...]], Any] | None = None
    build: Callable[[Made, Any], None] | None = None


def read_pickle(path: Path, classes: Mapping[str, Admitted]) -> Any:
    """Read a pickle of plain values and of what is admitted; nothing in it runs.

    Parameters
    ----------
    path
        The file.
    classes
        By module and name, with a dot between.

    Returns
    -------
    object
        Built-in values, and what `classes` make.

    Raises
    ------
    InputError
        The file is no pickle, too large, or asks for anything else: names it, with its position in bytes.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(f"a pickle must not be larger than {MOST_BYTES:,} bytes", value=f"{size:,}", place=path.name)
    machine = _Machine(classes)
    stream, position = io.BytesIO(path.read_bytes()), 0
    try:
        while not machine.is_done:
            position = stream.tell()
            machine.run(*_read_opcode(stream))
        _require_end(stream)
        return machine.answer
    except RefusedError as error:
        raise InputError(_RULE, value=str(error), place=f"{path.name}, byte {position}") from None
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        rule, value = "a pickle must be whole", f"{type(error).__name__}: {str(error)[:120]}"
        raise InputError(rule, value=value, place=f"{path.name}, byte {position}") from None


def _read_opcode(stream: io.BytesIO) -> tuple[str, Any]:
    """Read an opcode and its argument; that of one which is not admitted is left unread."""
    byte = stream.read(1)
    if not byte:
        raise ValueError("it ends too early")
    code = _CODES.get(byte.decode("latin-1"))
    if code is None:
        raise ValueError(f"no opcode {byte!r}")
    if code.name not in _KNOWN:
        raise RefusedError(f"opcode {code.name}")
    if code.name in _NAMES_A_CLASS:
        return code.name, ".".join(stream.readline().decode().removesuffix("\n") for _ in range(2))
    return code.name, code.arg.reader(stream) if code.arg else None


def _require_end(stream: io.BytesIO) -> None:
    if stream.read(1):
        raise RefusedError("bytes behind the end")


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(self, classes: Mapping[str, Admitted]) -> None:
        self.answer: Any = None
        self.is_done = False
        self._classes = classes
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._objects = 0

    def run(self, code: str, argument: Any) -> None:
        """Do one opcode."""
        if code in _LITERALS:
            self._push(_LITERALS[code])
        elif code in _ARGUMENTS:
            self._push(argument)
        else:
            _WORK[code](self, argument)

    def _push(self, value: Any) -> None:
        if len(self._stack) >= _MOST_STACKED or self._objects >= _MOST_OBJECTS:
            raise RefusedError(f"more than {_MOST_STACKED:,} values at once, or {_MOST_OBJECTS:,} in all")
        self._stack.append(value)

    def _make(self, value: Any) -> None:
        self._objects += 1
        self._push(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise RefusedError("an opcode that takes a value where there is none")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._stack.pop())
        if not self._stack:
            raise RefusedError("an opcode that takes a mark where there is none")
        self._stack.pop()
        return values[::-1]

    def do_mark(self, _: Any) -> None:
        self._push(_MARK)

    def do_pass(self, _: Any) -> None:
        """PROTO and FRAME say nothing about the values."""

    def do_stop(self, _: Any) -> None:
        self.answer, self.is_done = self._pop(), True
        if self._stack:
            raise RefusedError("values left over at the end")

    def do_dict(self, _: Any) -> None:
        self._make({})

    def do_list(self, _: Any) -> None:
        self._make([])

    def do_tuple(self, count: int | None) -> None:
        values = self._pop_to_mark() if count is None else [self._pop() for _ in range(count)][::-1]
        self._make(tuple(values))

    def do_put(self, key: int | None) -> None:
        value = self._pop()
        self._memo[len(self._memo) if key is None else key] = value
        self._objects += 1
        self._push(value)

    def do_get(self, key: int) -> None:
        self._push(self._memo[key])

    def do_append(self, values: list[Any]) -> None:
        target = self._pop()
        if not isinstance(target, list):
            raise RefusedError("a value appended to what is no list")
        target.extend(values)
        self._push(target)

    def do_set(self, values: list[Any]) -> None:
        target = self._pop()
        keys = values[::2]
        if not isinstance(target, dict) or len(values) % 2 or not all(isinstance(key, str) for key in keys):
            raise RefusedError("a dict whose keys are not text")
        target.update(zip(keys, values[1::2], strict=True))
        self._push(target)

    def do_global(self, argument: str | None) -> None:
        """GLOBAL has both names as its argument, STACK_GLOBAL takes them from the stack."""
        name = argument
        if name is None:
            last, first = self._pop(), self._pop()
            if not (isinstance(first, str) and isinstance(last, str)):
                raise RefusedError("a class whose name is not text")
            name = f"{first}.{last}"
        if name not in self._classes:
            raise RefusedError(name[:200])
        self._make(Named(name))

    def do_inst(self, argument: str) -> None:
        """INST names a class and calls it at once."""
        self.do_global(argument)
        raise RefusedError(f"a call of {self._pop().name}")

    def do_call(self, *, is_new: bool) -> None:
        arguments, target = self._pop(), self._pop()
        name = target.name if isinstance(target, Named) else f"a {type(target).__name__}"
        found = self._classes.get(name)
        make = (found.new if is_new else found.call) if found else None
        if make is None or not isinstance(arguments, tuple):
            raise RefusedError(f"a call of {name}")
        self._make(make(arguments))

    def do_build(self, _: Any) -> None:
        state, target = self._pop(), self._pop()
        found = self._classes.get(target.kind) if isinstance(target, Made) else None
        if found is None or found.build is None:
            raise RefusedError(f"a state for a {type(target).__name__}")
        found.build(target, state)
        self._push(target)


_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARGUMENTS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
)
_WORK: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.do_pass,
    "FRAME": _Machine.do_pass,
    "STOP": _Machine.do_stop,
    "MARK": _Machine.do_mark,
    "EMPTY_DICT": _Machine.do_dict,
    "EMPTY_LIST": _Machine.do_list,
    "EMPTY_TUPLE": lambda machine, _: machine.do_tuple(0),
    "TUPLE1": lambda machine, _: machine.do_tuple(1),
    "TUPLE2": lambda machine, _: machine.do_tuple(2),
    "TUPLE3": lambda machine, _: machine.do_tuple(3),
    "TUPLE": _Machine.do_tuple,
    "BINPUT": _Machine.do_put,
    "LONG_BINPUT": _Machine.do_put,
    "MEMOIZE": _Machine.do_put,
    "BINGET": _Machine.do_get,
    "LONG_BINGET": _Machine.do_get,
    "APPEND": lambda machine, _: machine.do_append([machine._pop()]),
    "APPENDS": lambda machine, _: machine.do_append(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine.do_set([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.do_set(machine._pop_to_mark()),
    "GLOBAL": _Machine.do_global,
    "STACK_GLOBAL": _Machine.do_global,
    "INST": _Machine.do_inst,
    "REDUCE": lambda machine, _: machine.do_call(is_new=False),
    "NEWOBJ": lambda machine, _: machine.do_call(is_new=True),
    "BUILD": _Machine.do_build,
}
_CODES = {code.code: code for code in pickletools.opcodes}
_NAMES_A_CLASS = frozenset({"GLOBAL", "INST"})
_KNOWN = _LITERALS.keys() | _ARGUMENTS | _WORK.keys()
