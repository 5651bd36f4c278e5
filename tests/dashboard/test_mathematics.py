"""Formulas are set, prices are not, and nothing that a model says becomes a part of the page."""

import html
import json
import re
import time

import pytest
from tests.dashboard.planned import HOSTILE

from bakeoff.dashboard.mathematics import mathematics

FORMULAS = [
    (r"so $x^2 = 4$.", "so <math", "x2=4"),
    ("设$x$为未知数", "设<math", "x"),
    (r"\(\frac{1}{2}\)", "<mfrac>", "12"),
    (r"\[ \boxed{42} \]", "<menclose", "42"),
    (r"$$\sum_{i=1}^{n} i$$", "<munderover>", "∑i=1ni"),
    (r"\[\begin{aligned} a &= b \\ &= c \end{aligned}\]", "<mtable", "a=b=c"),
    (r"$50\%$ of $80$", "of <math", "50%80"),
    (r"$\text{面积} = \$3 \cdot 2$", "<mtext>", "面积=$3·2"),
    (r"$\triangle ABC$", "<math", "△ABC"),
]


@pytest.mark.parametrize(("text", "part", "signs"), FORMULAS, ids=[f[0] for f in FORMULAS])
def test_formulas_are_set(text, part, signs):
    found = mathematics(text)
    assert part in found
    inside = re.findall(r"<math.*?</math>", found, re.DOTALL)
    plain = "".join(html.unescape(re.sub(r"<[^>]+>", "", each)) for each in inside)
    assert re.sub(r"\s", "", plain) == signs


def test_a_formula_on_lines_of_its_own_leaves_no_empty_line():
    assert mathematics("so\n\\[x^2\\]\n#### 4").endswith("</math>#### 4")


@pytest.mark.parametrize("text", [
    "It costs $5 and $10.", "$5-$10", "$100-$20 = $80", "He has $16 (that is 2*$8=$<<2*8=16>>16).",
    "(p+$600)/4 = $x", "$5, $x and $y", "US$5 or A$7$", "$$5 and $$10", "only $5$", "$a and b$",
    "$3 per day, then he has $", "`$x^2$` is code", "```\n\\(x\\)\n```", "x^2 + 1", r"\$x^2\$",
    "$<<3*4=12>>12$", "$PATH and $HOME", "#### 12",
])  # fmt: skip
def test_prices_and_code_are_left_alone(text):
    assert mathematics(text) is None


@pytest.mark.parametrize("text", [
    r"$\frac{1}$", r"\(\left( x\)", r"$\unheardof{3}$", r"$x^{$", r"\(a & b\)", r"\(\)",
    r"\[\begin{matrix} 1\]", r"$\def\a{\a\a}\a$", r"$\newcommand{\b}{x}\b$",
    r"$\href{javascript:a}{x}$",
])  # fmt: skip
def test_what_is_not_understood_stays_text(text):
    assert mathematics(text) is None


ATTACKS = [
    rf"$\text{{{HOSTILE}}}$",
    rf"\({HOSTILE}\)",
    rf"$x^2$ {HOSTILE}",
    r"$\text{&lt;script&gt;alert(1)&lt;/script&gt;}$",
    r"$\class{a\" onclick=\"alert(1)}{x}$ $y$",
    r"$\style{position:fixed}{x}$ $y$",
    r"$\textcolor{red\" onmouseover=\"alert(1)}{x}$",
    r"$\hspace{1em\" onmouseover=\"alert(1)}x$",
    r"\(\operatorname{a}\mbox{</math><script>alert(1)</script>}\)",
    r"\[\unicode{x3C}script\unicode{x3E}\] $z$",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_hostile_formulas_are_escaped(text):
    found = mathematics(text) or ""
    tags = set(re.findall(r"<[/a-zA-Z][^>]*>", found))
    wanted = re.compile(r'</?m[a-z]+( [a-z]+="[A-Za-z0-9.+\- ]*")*>')
    assert [tag for tag in tags if not wanted.fullmatch(tag)] == []
    assert not re.search(r"\b(style|class|href|on\w+)=[\"']", re.sub(r"&[#\w]+;", " ", found))


@pytest.mark.parametrize("text", [
    "$" + "{" * 900 + "x^2" + "}" * 900 + "$", r"\(" + r"\frac{1}{" * 200 + "x" + "}" * 200 + r"\)",
    "$x" * 20_000, r"\(" * 5_000, r"\[" * 5_000, "$$" * 5_000, "`" * 20_000 + "$x$",
    "$" + "\\" * 9_000,
    r"\(\operatorname" + "{a" + " " * 1900 + r"\)", r"\(\begin" + "{" * 900 + r"\)",
])  # fmt: skip
def test_no_text_keeps_the_page_waiting(text):
    began = time.monotonic()
    mathematics(text)
    assert time.monotonic() - began < 5


def test_no_price_of_gsm8k_is_taken_for_a_formula(gsm8k):
    texts = []
    for path in sorted(gsm8k.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        texts += [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in rows]
    assert len(texts) > 8_000
    assert [text for text in texts if mathematics(text)] == []
    # Several in one prompt, as examples are.
    shots = ["\n\n".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    assert [text for text in shots if mathematics(text)] == []
