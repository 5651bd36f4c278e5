"""Which process takes which rows of a step.

The rows of a step are the same whoever takes them: gradients and losses are sums over label tokens
of the whole step. So rows are dealt such that all processes have about as much to do.
"""

from collections.abc import Callable

from bakeoff.worker.rows import Row, RowList

Portions = list[list[Row]]


def deal(rows: RowList, num_processes: int) -> Portions:
    """The rows of each process, in the order of the step.

    The longest row first, each to the process that has the fewest tokens so far, nobody more than
    its even share of rows: a forward pass must not take more rows than it was set.
    """
    if num_processes == 1:
        return [list(rows)]
    most = -(-len(rows) // num_processes)
    numbers: list[list[int]] = [[] for _ in range(num_processes)]
    num_tokens = [0] * num_processes
    for number in sorted(range(len(rows)), key=lambda n: -len(rows[n].token_ids)):
        open_to = [who for who in range(num_processes) if len(numbers[who]) < most]
        who = min(open_to, key=lambda who: num_tokens[who])
        numbers[who].append(number)
        num_tokens[who] += len(rows[number].token_ids)
    return [[rows[number] for number in sorted(some)] for some in numbers]


def passes_of(
    rows: RowList, rank: int, num_processes: int, cut: Callable[[RowList], Portions]
) -> tuple[Portions, int]:
    """The forward passes of one process, and how many more others take.

    All must go through equally many, since they exchange tensors in each.

    Args:
        rows: of a step, or all rows of a validation.
        rank: of the process.
        num_processes: that share the rows.
        cut: a process's rows into passes.
    """
    each = [cut(some) if some else [] for some in deal(rows, num_processes)]
    return each[rank], max(map(len, each)) - len(each[rank])
