from __future__ import annotations

from random import Random

import pytest

from llmflow.scheduling.pools import Pool, PoolSpec


def test_the_lowest_free_worker_is_taken() -> None:
    pool = Pool(PoolSpec("p", 3))
    assert [pool.acquire() for _ in range(3)] == [(0, 0), (0, 1), (0, 2)]
    assert not pool.has_room()
    pool.release(0, 2)
    pool.release(0, 0)
    assert pool.has_room()
    assert [pool.acquire(), pool.acquire()] == [(0, 0), (0, 2)]


def test_an_unlimited_pool_always_has_room_and_uses_its_numbers_again() -> None:
    pool = Pool(PoolSpec("p"))
    assert [pool.acquire()[1] for _ in range(5)] == [0, 1, 2, 3, 4]
    pool.release(0, 3)
    assert pool.has_room()
    assert [pool.acquire()[1], pool.acquire()[1]] == [3, 5]


def test_the_endpoint_with_the_most_room_is_taken_and_worker_numbers_never_meet() -> None:
    pool = Pool(PoolSpec("p", 2, endpoints=3))
    taken = [pool.acquire() for _ in range(6)]
    assert taken == [(0, 0), (1, 1), (2, 2), (0, 3), (1, 4), (2, 5)]
    assert not pool.has_room()
    pool.release(1, 4)
    assert pool.acquire() == (1, 4)


def test_an_unlimited_pool_spreads_over_its_endpoints() -> None:
    pool = Pool(PoolSpec("p", endpoints=2))
    assert [pool.acquire() for _ in range(4)] == [(0, 0), (1, 1), (0, 2), (1, 3)]


@pytest.mark.parametrize(("workers", "endpoints", "size"), [(0, 3, 0), (4, 1, 4), (4, 2, 8)])
def test_the_size_is_that_of_all_endpoints_together(workers: int, endpoints: int, size: int) -> None:
    assert PoolSpec("p", workers, endpoints).size == size


@pytest.mark.parametrize("seed", range(20))
def test_no_worker_is_held_twice_and_no_endpoint_beyond_its_workers(seed: int) -> None:
    dice = Random(seed)
    spec = PoolSpec("p", dice.randint(1, 4), dice.randint(1, 3))
    pool, held = Pool(spec), set[tuple[int, int]]()
    for _ in range(500):
        if pool.has_room() and (not held or dice.random() < 0.55):
            place = pool.acquire()
            assert place[1] not in {worker for _, worker in held}
            assert 0 <= place[1] < spec.size
            held.add(place)
        elif held:
            place = dice.choice(sorted(held))
            held.remove(place)
            pool.release(*place)
        assert pool.has_room() == (len(held) < spec.size)
        assert all(sum(e == endpoint for e, _ in held) <= spec.workers for endpoint in range(spec.endpoints))
