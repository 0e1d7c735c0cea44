"""Coroutines that never suspend run without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore import blocking


class Ending(Exception):
    pass


async def value(given: object) -> object:
    return given


async def deep(levels: int) -> int:
    return 0 if levels == 0 else 1 + await deep(levels - 1)


async def failing(error: BaseException) -> None:
    raise error


@given(st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_gives_what_the_coroutine_returns(given: object) -> None:
    assert blocking.run(value(given)) == given


def test_goes_through_any_number_of_awaits() -> None:
    assert blocking.run(deep(200)) == 200


@pytest.mark.parametrize("error", [Ending("x"), KeyboardInterrupt(), LookupError()])
def test_raises_what_the_coroutine_raises(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        blocking.run(failing(error))
    assert raised.value is error


def test_says_so_when_a_coroutine_suspends_and_ends_it() -> None:
    ended = []

    async def suspends() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="suspended"):
        blocking.run(suspends())
    assert ended == [True]


def test_works_inside_a_running_loop() -> None:
    async def outer() -> object:
        return blocking.run(value("inner"))

    assert asyncio.run(outer()) == "inner"


async def count(upto: int, ended: list[int], error: BaseException | None = None) -> AsyncIterator[int]:
    number = 0
    try:
        for number in range(upto):
            yield await deep(number)
        if error is not None:
            raise error
    finally:
        ended.append(number)


@given(st.integers(0, 50))
def test_iterates_to_the_end(upto: int) -> None:
    ended: list[int] = []
    assert list(blocking.iterate(count(upto, ended))) == list(range(upto))
    assert len(ended) == 1


@given(st.integers(1, 20), st.integers(1, 20))
def test_closes_what_its_caller_leaves(upto: int, taken: int) -> None:
    ended: list[int] = []
    numbers = blocking.iterate(count(upto, ended))
    assert [number for number, _ in zip(numbers, range(taken), strict=False)] == list(range(min(upto, taken)))
    numbers.close()  # type: ignore[attr-defined]
    assert len(ended) == 1


def test_an_error_on_the_way_comes_out_of_the_iteration() -> None:
    ended: list[int] = []
    numbers = blocking.iterate(count(2, ended, Ending("x")))
    assert [next(numbers), next(numbers)] == [0, 1]
    with pytest.raises(Ending):
        next(numbers)
    assert ended == [1]
