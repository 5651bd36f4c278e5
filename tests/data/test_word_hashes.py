"""Overlaps found with arrays of hashes are those that plain sets of words would find."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.data.inspection.minhash import SIMILARITY, band_keys, candidate_pairs
from bakeoff.data.inspection.near import find_near_duplicates
from bakeoff.data.inspection.ngrams import GramTable
from bakeoff.data.inspection.words import WordHasher, grams, words_of

TEXTS = st.lists(
    st.lists(st.sampled_from("abcd"), max_size=24).map(" ".join), min_size=1, max_size=12
)


def runs(text, size):
    words = words_of(text)
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def test_words_are_letters_and_digits_or_one_chinese_character():
    assert words_of("Ｔｏｍ has $1,200.50, it's 小明的 3个!") == (  # noqa: RUF001
        ["tom", "has", "1", "200", "50", "it", "s", "小", "明", "的", "3", "个"]
    )


@given(texts=TEXTS, size=st.integers(1, 5))
def test_grams_are_the_runs_of_words_of_each_text_and_of_no_two(texts, size):
    hashes, text_of = grams(WordHasher().batch(texts), size)
    expected = [(index, run) for index, text in enumerate(texts) for run in runs(text, size)]
    assert [index for index, _ in expected] == text_of.tolist()
    by_hash = {}
    for value, (_, run) in zip(hashes.tolist(), expected, strict=True):
        assert by_hash.setdefault(value, run) == run
    assert len(by_hash) == len({run for _, run in expected})


@settings(max_examples=300, deadline=None)
@given(held=TEXTS, other=TEXTS, skip=st.sets(st.integers(0, 11)))
def test_shared_runs_are_those_that_sets_would_find(held, other, skip):
    hasher = WordHasher()
    table = GramTable([hasher.batch(held[:5]), hasher.batch(held[5:])])
    owned = [set(runs(text, table.size)) for text in held]
    owners = Counter(run for found in owned for run in found)
    expected = {}
    for row, text in enumerate(other):
        for owner, found in enumerate(owned):
            shared = {run for run in found & set(runs(text, table.size)) if owners[run] <= 10}
            if shared and row not in skip:
                expected[owner, row + 100] = (len(shared), len(found))
    assert table.matches(hasher.batch(other), 100, skip) == expected


@pytest.mark.parametrize(("num_words", "size"), [(4, 8), (8, 8), (11, 11), (13, 13), (60, 13)])
def test_runs_are_as_long_as_short_questions_but_within_8_and_13(num_words, size):
    text = " ".join(f"w{index}" for index in range(num_words))
    assert GramTable([WordHasher().batch([text] * 20)]).size == size


def test_nearly_all_pairs_at_the_threshold_are_candidates():
    # 60 words, one changed in the middle: 55 of 61 runs in common, 0.90; two changed: 0.81.
    texts = []
    for number in range(200):
        words = [f"w{number}x{index}" for index in range(60)]
        texts.append(" ".join(words))
        words[20], words[40] = "other", "another"
        texts.append(" ".join(words))
    keys = band_keys(WordHasher().batch(texts))
    found = set(candidate_pairs(keys))
    missed = [number for number in range(200) if (2 * number, 2 * number + 1) not in found]
    assert len(missed) <= 4
    assert len(found) < 400


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from("abc"), min_size=8, max_size=14).map(" ".join),
        min_size=2,
        max_size=20,
    ),
    groups=st.lists(st.integers(0, 1), min_size=20, max_size=20),
)
def test_every_reported_pair_is_as_alike_as_it_says(texts, groups):
    keys = band_keys(WordHasher().batch(texts))
    found = find_near_duplicates(keys, np.array(groups[: len(texts)]), texts.__getitem__)
    for pair in [*found.inside, *found.across.values()]:
        left, right = set(runs(texts[pair.one], 3)), set(runs(texts[pair.other], 3))
        assert pair.similarity == len(left & right) / len(left | right)
        assert pair.similarity >= SIMILARITY
        assert found.clusters.of(pair.one) == found.clusters.of(pair.other)
    for higher, pair in found.across.items():
        assert (pair.one, groups[pair.one], groups[pair.other]) == (higher, 1, 0)
    same = {}
    for index, text in enumerate(texts):
        first = same.setdefault((text, groups[index]), index)
        assert found.clusters.of(first) == found.clusters.of(index)
