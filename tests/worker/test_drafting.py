"""What is guessed of a text that goes on."""

import random

from hypothesis import given
from hypothesis import strategies as st

from bakeoff.worker.drafting import MOST_GUESSED, Draft

tokens = st.lists(st.integers(0, 3), max_size=40)


def test_the_guess_is_what_followed_the_same_words_last():
    draft = Draft([1, 2, 7, 1, 2, 8, 9, 1, 2])
    assert draft.guess(2) == [8, 9]
    draft.add(5)
    assert draft.guess(2) == []


def test_the_longest_beginning_that_was_met_decides():
    assert Draft([5, 1, 2, 7, 1, 2, 8, 5, 1, 2]).guess(1) == [7]


def test_of_a_text_that_repeats_itself_the_guess_goes_on_into_itself():
    draft = Draft([1, 2, 3, 1, 2, 3])
    for _ in range(3):
        draft.learn(2, 2)
    assert draft.guess(8) == [1, 2, 3, 1, 2, 3, 1, 2]


def test_guesses_grow_while_they_come_true_and_shrink_when_they_do_not():
    draft = Draft([1] * 9)
    sizes = []
    for num_right in (None, 2, 4, 8, 0, 0, 0, 0):
        if num_right is not None:
            draft.learn(len(draft.guess(99)), num_right)
        sizes.append(len(draft.guess(99)))
    assert sizes == [2, 4, 8, 8, 4, 2, 1, 1]
    assert max(sizes) == MOST_GUESSED


@given(tokens, st.integers(-1, 9))
def test_a_guess_is_never_longer_than_asked_and_copies_only_the_text(text, most):
    guess = Draft(text).guess(most)
    assert len(guess) <= max(0, most)
    assert set(guess) <= set(text)


def test_a_text_that_grows_token_by_token_is_guessed_like_a_whole_one():
    chooser = random.Random(0)
    text = [chooser.randrange(3) for _ in range(60)]
    draft = Draft(text[:10])
    for token in text[10:]:
        draft.add(token)
    assert draft.guess(4) == Draft(text).guess(4)
