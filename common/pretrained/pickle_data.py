"""Pickles interpreted as data: containers, numbers and strings; nothing that a pickle names is run.

Python's own unpickler imports what a pickle names, and a few bytes can make it take gigabytes or
years. The one below takes the same opcodes to lists, dictionaries and records, in time and memory
proportional to the length of the pickle.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

_OPCODES = 1_000_000  # about 2 seconds; a tensor takes 30
_ARGUMENTS = 64  # of a call
_KEY_BITS = 60  # longer integers may be made to collide in a dictionary

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_WITH_VALUE = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """A pickle that asks for what data does not need, or for more than a limit allows."""


class Record:
    """An object of the pickle: not made, only the state it was to be given is kept."""

    state: Any = None

    def __init__(self, *_: Any) -> None:
        pass


@dataclass(frozen=True, eq=False)
class Function:
    """What a pickle may call: a function of ours that stands for the one it names.

    It takes time proportional to the number of its arguments, not to their sizes, for a pickle may
    hand over the same ones again and again.
    """

    call: Callable[..., Any]


def read_pickle(
    file: io.BytesIO, find: Callable[[str, str], Any], load: Callable[[Any], Any] | None = None
) -> Any:
    """Return what the next pickle of `file` describes, and leave `file` behind it.

    `find` answers a module and a name with a value, a `Function` if it may be called, or raises
    `Refused`; `load` answers a persistent identifier. Strings of Python 2 become `str`; sets become
    lists. Raises ValueError for a pickle that is cut off or makes no sense, among it `Refused`.
    """
    machine = _Machine(find, load)
    for count, (opcode, value, _) in enumerate(pickletools.genops(file)):
        if count == _OPCODES:
            raise Refused(f"its pickle has more than {_OPCODES:,} opcodes")
        try:
            machine.step(opcode.name, value)
        except (IndexError, KeyError, TypeError) as error:
            raise ValueError(f"its pickle makes no sense at {opcode.name}") from error
    if not machine.stack:
        raise ValueError("its pickle describes nothing")
    return machine.stack[-1]


def dictionary(pairs: Iterable[Any]) -> dict[Any, Any]:
    """Return a dictionary whose keys are all hashed in no time: no nested tuples among them."""
    made: dict[Any, Any] = {}
    for key, value in pairs:
        short = isinstance(key, int) and key.bit_length() <= _KEY_BITS
        plain = isinstance(key, str | bytes | float | None | Record | Function)
        if not (short or plain):
            raise Refused(f"it has a dictionary with a key of type {type(key).__name__}")
        made[key] = value
    return made


class _Machine:
    """The stack, marks and memo that opcodes work on."""

    def __init__(self, find: Callable[[str, str], Any], load: Callable[[Any], Any] | None) -> None:
        self.find, self.load = find, load
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, value: Any) -> None:
        """Take one opcode with its value."""
        if name in _WITH_VALUE:
            self.stack.append(value)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._arrange(name, value)

    def _arrange(self, name: str, value: Any) -> None:
        """Take an opcode that works on the stack, the marks or the memo."""
        stack = self.stack
        match name:
            case "MARK":
                self.marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._from_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[value] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[value])
            case "TUPLE":
                stack.append(tuple(self._from_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = stack[-_SHORT_TUPLES[name] :]
                del stack[-len(items) :]
                stack.append(tuple(items))
            case _:
                self._make(name, value)

    def _make(self, name: str, value: Any) -> None:
        """Take an opcode that makes or fills a container or an object."""
        stack = self.stack
        match name:
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "LIST" | "FROZENSET":
                stack.append(self._from_mark())
            case "DICT":
                items = self._from_mark()
                stack.append(_paired(items))
            case "APPEND" | "APPENDS" | "ADDITEMS":
                items = [stack.pop()] if name == "APPEND" else self._from_mark()
                if isinstance(stack[-1], list):
                    stack[-1].extend(items)
                elif not isinstance(stack[-1], Record):
                    raise TypeError(name)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._from_mark()
                if isinstance(stack[-1], dict):
                    stack[-1].update(_paired(items))
                elif not isinstance(stack[-1], Record):
                    raise TypeError(name)
            case "GLOBAL":
                stack.append(self.find(*value.split(" ", 1)))
            case "STACK_GLOBAL":
                module, attribute = stack.pop(-2), stack.pop()
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise TypeError(name)
                stack.append(self.find(module, attribute))
            case "REDUCE" | "NEWOBJ":
                function, arguments = stack.pop(-2), stack.pop()
                stack.append(_called(function, arguments))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Record):
                    stack[-1].state = state
            case "BINPERSID" if self.load:
                stack.append(self.load(stack.pop()))
            case _:
                raise Refused(f"its pickle uses {name}, which weights do not need")

    def _from_mark(self) -> list[Any]:
        """Take off and return what was stacked since the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _paired(items: list[Any]) -> dict[Any, Any]:
    """Return the dictionary of a list of keys and values in turn."""
    return dictionary(zip(items[::2], items[1::2], strict=True))


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, Function) or not isinstance(arguments, tuple):
        raise Refused("its pickle calls what is no function")
    if len(arguments) > _ARGUMENTS:
        raise Refused(f"its pickle calls a function with {len(arguments)} arguments")
    return function.call(*arguments)
