"""How long readings took is told by commits, and never as less than it was."""

from collector.latency import MAX_UNDER_WAY, Latency


def test_every_reading_of_a_commit_counts_as_old_as_its_first_once_a_store_has_the_last() -> None:
    latency = Latency()
    latency.committed(10, 10, since_s=100.0)
    latency.committed(30, 20, since_s=100.2)
    latency.settled(9, 100.3)
    assert latency.percentiles_ms(0.5) == [None], "the store lacks the last of them"
    latency.settled(29, 100.4)
    latency.settled(30, 103.2)
    buckets = dict(latency.buckets())
    assert (buckets["0.25"], buckets["0.5"], buckets["2.5"], buckets["5"], buckets["+Inf"]) == (0, 10, 10, 30, 30)
    assert latency.percentiles_ms(0.33, 0.5, 0.99) == [400.0, 3_000.0, 3_000.0]
    assert round(latency.total_s, 6) == 10 * 0.4 + 20 * 3.0


def test_a_store_that_is_down_for_long_makes_nothing_look_faster_than_it_was_and_fills_no_memory() -> None:
    latency = Latency()
    for number in range(1, 3 * MAX_UNDER_WAY + 1):
        latency.committed(number, 1, since_s=float(number))
    assert len(latency._under_way) == MAX_UNDER_WAY
    latency.settled(3 * MAX_UNDER_WAY, 4_000.0)
    assert dict(latency.buckets())["+Inf"] == 3 * MAX_UNDER_WAY
    took_s = sum(4_000.0 - number for number in range(1, 3 * MAX_UNDER_WAY + 1))
    assert latency.total_s >= took_s
