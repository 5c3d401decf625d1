"""The cache drops the least recently used values, by entries and by bytes."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from encoders.caching.lru_cache import LruCache


def test_entries_and_bytes_are_bounded_and_the_least_recent_goes_first() -> None:
    cache: LruCache[str, int] = LruCache(entries=3, max_bytes=100)
    for name in "abc":
        cache.put(name, ord(name), 10)
    assert cache.get("a") == ord("a")
    cache.put("d", 4, 10)
    assert [name for name in "abcd" if cache.get(name) is not None] == ["a", "c", "d"]
    cache.put("e", 5, 95)
    assert (len(cache), cache.bytes) == (1, 95)
    cache.put("e", 6, 20)
    assert (len(cache), cache.bytes) == (1, 20)
    cache.put("f", 7, 101)
    assert cache.get("f") is None


def test_without_entries_nothing_is_stored() -> None:
    cache: LruCache[str, int] = LruCache(entries=0, max_bytes=100)
    cache.put("a", 1, 10)
    assert (cache.get("a"), len(cache), cache.bytes) == (None, 0, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 12)), max_size=60))
def test_it_does_what_an_ordered_dict_would(steps: list[tuple[str, int | None]]) -> None:
    cache: LruCache[str, int] = LruCache(entries=3, max_bytes=10)
    expected: OrderedDict[str, int] = OrderedDict()
    for number, (key, size) in enumerate(steps):
        if size is None:
            assert (cache.get(key) is not None) == (key in expected)
            if key in expected:
                expected.move_to_end(key)
            continue
        cache.put(key, number, size)
        if size <= 10:
            expected.pop(key, None)
            expected[key] = size
            while sum(expected.values()) > 10 or len(expected) > 3:
                expected.popitem(last=False)
        assert (len(cache), cache.bytes) == (len(expected), sum(expected.values()))


def test_threads_may_share_it() -> None:
    cache: LruCache[int, int] = LruCache(entries=50, max_bytes=100)

    def work(first: int) -> None:
        for number in range(first, first + 2000):
            cache.put(number % 97, number, number % 7)
            cache.get((number * 31) % 97)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(cache) <= 50
    assert cache.bytes <= 100
