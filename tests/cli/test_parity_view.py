"""What `bakeoff parity` shows."""

from rich.console import Console
from tests.compare.test_parity import compare, run

from bakeoff.cli.parity_view import parity_view
from bakeoff.schema.parity import ProbedRun

FAILED = ProbedRun(backend="swift", seed=0, error="it died")


def shown(parity):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(parity_view(parity))
    return capture.get()


def test_the_verdict_names_the_backends_that_were_not_compared():
    verdict = shown(compare(run(), run("llamafactory"), FAILED)).strip().splitlines()[-2:]
    assert verdict[0].startswith("builtin, llamafactory: equal token ids and labels; 0 diff")
    assert verdict[1] == "not compared where it failed: swift"


def test_where_every_backend_failed_nothing_is_said_to_differ():
    text = shown(compare(FAILED))
    assert "failed: swift: it died" in text
    assert "there is nothing to compare" in text
    assert "DIFFER" not in text
