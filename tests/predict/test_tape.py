"""Peaks, torch's caching allocator and malloc's heap, replayed."""

from bakeoff.predict.caching import replay
from bakeoff.predict.heap import host_bytes
from bakeoff.predict.tape import Tape, peak_of

MIB = 1024**2


def test_the_peak_is_the_largest_sum_of_live_blocks_with_its_parts_and_moment():
    tape = Tape()
    tape.begins("load")
    tape.take(100, "weights")
    tape.begins("forward")
    first = tape.take(50, "activations")
    tape.brief(70, "logits")
    tape.drop(first)
    tape.begins("optimizer step")
    tape.take(90, "optimizer")
    peak = peak_of(tape)
    assert (peak.num_bytes, peak.moment) == (220, "forward")
    assert peak.parts == {"weights": 100, "logits": 70, "activations": 50}


def test_small_requests_share_a_segment_of_two_mib():
    tape = Tape()
    for _ in range(100):
        tape.take(1000, "other")  # rounded to 1024 each
    assert replay(tape).reserved_bytes == 2 * MIB


def test_medium_requests_come_from_segments_of_twenty_mib_and_large_ones_are_rounded_to_two():
    medium, large = Tape(), Tape()
    for _ in range(3):
        medium.take(6 * MIB, "other")
    large.take(11 * MIB + 1, "other")
    assert replay(medium).reserved_bytes == 20 * MIB
    assert replay(large).reserved_bytes == 12 * MIB


def test_a_cached_block_serves_a_smaller_request_but_not_a_larger_one():
    tape = Tape()
    tape.drop(tape.take(20 * MIB, "other"))
    tape.drop(tape.take(12 * MIB, "other"))
    assert replay(tape).reserved_bytes == 20 * MIB
    tape.take(30 * MIB, "other")
    assert replay(tape).reserved_bytes == 50 * MIB


def test_near_its_limit_the_allocator_gives_cached_segments_back():
    tape = Tape()
    tape.drop(tape.take(20 * MIB, "other"))
    tape.take(30 * MIB, "other")
    held = replay(tape, limit_bytes=40 * MIB)
    assert held.does_fit
    assert held.reserved_bytes == 30 * MIB
    assert not replay(tape, limit_bytes=25 * MIB).does_fit


def test_freed_neighbours_merge_in_the_heap_and_its_top_moves_only_when_nothing_fits():
    tape = Tape()
    tape.take(1000, "weights")  # a mapping of the file, not the heap
    first, second = tape.take(MIB, "activations"), tape.take(MIB, "activations")
    tape.drop(first, second)
    tape.take(2 * MIB, "activations")
    assert 2 * MIB <= host_bytes(tape, gives_back=False) - 1000 < 2 * MIB + 200


def test_a_heap_as_it_comes_gives_back_large_blocks_and_a_large_free_end():
    tape = Tape()
    tape.drop(tape.take(10 * MIB, "activations"))  # mapped for itself; from now on 10 MiB are not
    several = [tape.take(9 * MIB, "activations") for _ in range(5)]
    tape.drop(*several)  # the end of the heap, more than twice 10 MiB
    tape.take(50 * MIB, "activations")
    assert 50 * MIB <= host_bytes(tape, gives_back=True) < 51 * MIB
    assert 50 * MIB <= host_bytes(tape, gives_back=False) < 51 * MIB
    tape.take(9 * MIB, "activations")
    tape.take(9 * MIB, "activations")
    assert 68 * MIB <= host_bytes(tape, gives_back=True) < 69 * MIB


def test_a_block_between_others_stays_with_a_heap_and_not_with_a_mapping():
    tape = Tape()
    first, _, third = (tape.take(size * MIB, "activations") for size in (20, 1, 20))
    tape.drop(first, third)
    tape.take(30 * MIB, "activations")
    # The free end grows to what is asked; the first 20 MiB lie idle.
    assert 51 * MIB <= host_bytes(tape, gives_back=False) < 52 * MIB
    assert 41 * MIB <= host_bytes(tape, gives_back=True) < 42 * MIB
