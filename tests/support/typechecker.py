"""What checks annotations at run time in the tests; an int is a float here, as it is for mypy, and faults TypeErrors.

jaxtyping's import hook compares the sizes of arrays in each call, and compiles a check for each function that is made.
Here only what has a shape in an annotation does the first, and a check is compiled once.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_known: dict[object, Callable[..., Any]] = {}


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that checks what it is called with, made once for all functions of the same signature.

    jaxtyping asks for one each time that a `def` is run, also inside of a function that is called thousands of times.
    What it hands over has no body of its own, so the signature is all of it.
    """
    try:
        key = (function.__module__, function.__qualname__, inspect.signature(function))
        if key not in _known:
            _known[key] = _beartype(function)
        return _known[key]
    except TypeError:  # a default that has no hash
        return _beartype(function)


def use_beartype_alone_without_shapes() -> None:
    """Let the hook's decorator leave what has no shapes to beartype."""
    jaxtyping.jaxtyped = _jaxtyped


_with_shapes = jaxtyping.jaxtyped


def _jaxtyped(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    def decorate(thing: Any) -> Any:
        if dataclasses.is_dataclass(thing) and _is_plain(init := vars(thing).get("__init__")):
            thing.__init__ = _beartype(init)
            return thing
        return _beartype(thing) if _is_plain(thing) else _with_shapes(thing, typechecker=typechecker)

    return decorate


def _is_plain(thing: object) -> bool:
    """Whether it is a function made once whose annotations can be resolved now and name no shape."""
    if not inspect.isfunction(thing) or "<locals>" in thing.__qualname__ or inspect.isgeneratorfunction(thing):
        return False
    return not any(map(_needs_jaxtyping, thing.__annotations__.values()))


def _needs_jaxtyping(annotation: object) -> bool:
    if get_origin(annotation) is Literal:  # whose words are no names of types
        return False
    unresolved = isinstance(annotation, str) or type(annotation).__name__ == "ForwardRef"
    shape = inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)
    return unresolved or shape or any(map(_needs_jaxtyping, get_args(annotation)))
