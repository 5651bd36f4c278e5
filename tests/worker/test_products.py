"""Products of bf16 matrices that are computed in fp32."""

import subprocess
import sys

import pytest
import torch

from bakeoff.worker import products

CODE = """
import torch
from bakeoff.worker import products
{piece}
products.take_over()
torch.manual_seed(0)
def narrow(*shape): return torch.randn(*shape).bfloat16()
def same(found, expected):
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16()) or (
        (found.double() - expected).abs() <= 2.0**-8 * expected.abs() + 1e-3
    ).all()
for rows, depth, columns in [(3, 5, 70), (70, 5, 3), (3, 70, 5), (0, 4, 2), (2, 0, 4), (1, 1, 1)]:
    a, b, onto = narrow(rows, depth), narrow(depth, columns), narrow(rows, columns)
    wide = a.double() @ b.double()
    same(a @ b, wide)
    same(b.T @ a.T, wide.T)
    same(torch.mm(a, b, out=narrow(0)), wide)
    same(torch.nn.functional.linear(a, b.T.contiguous(), onto[0] if rows else onto.sum(0)),
         wide + (onto[0] if rows else onto.sum(0)).double())
    same(torch.addmm(onto, a, b, beta=0.5, alpha=-2), 0.5 * onto.double() - 2 * wide)
    same(torch.addmm(onto, a, b, out=narrow(0)), onto.double() + wide)
    same(onto.clone().addmm_(a, b, beta=0), wide)
    same(onto.clone().addmm_(a, b, alpha=3), onto.double() + 3 * wide)
    many, others = narrow(2, rows, depth), narrow(2, depth, columns)
    wide, onto = many.double() @ others.double(), narrow(2, rows, columns)
    same(many @ others, wide)
    same(torch.bmm(many, others, out=narrow(0)), wide)
    same(torch.baddbmm(onto, many, others, beta=2, alpha=0.5), 2 * onto.double() + 0.5 * wide)
    same(onto.clone().baddbmm_(many, others), onto.double() + wide)
nothing = torch.full((2, 2), float("nan")).bfloat16()
same(nothing.addmm_(narrow(2, 3), torch.zeros(3, 2).bfloat16(), beta=0), torch.zeros(2, 2).double())
a, b = torch.randn(4, 4), torch.randn(4, 4)
assert (a @ b).dtype == torch.float32
layer = torch.nn.Linear(4, 3).bfloat16()
layer(narrow(5, 4)).sum().backward()
assert layer.weight.grad.dtype == torch.bfloat16
"""


@pytest.mark.parametrize("piece", ["", "products._PIECE = 16"], ids=["whole", "in pieces"])
def test_products_are_those_of_exact_arithmetic_rounded_once(piece):
    """In a process of its own: kernels that were taken over would stay so for the other tests."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE.format(piece=piece)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_processor_is_left_to_itself_where_it_can_do_it_and_told_where_not(monkeypatch):
    taken = []
    monkeypatch.setattr(products, "take_over", lambda: taken.append(1))
    for has_instructions in (True, False):
        monkeypatch.setattr(
            torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda told=has_instructions: told
        )
        assert products.choose(torch.float32, torch.device("cpu")) == "fp32"
        assert products.choose(torch.bfloat16, torch.device("cuda")) == "bf16"
        told = products.choose(torch.bfloat16, torch.device("cpu"))
        assert ("no instructions" in told) is not has_instructions
        assert taken == [1] * (not has_instructions)
