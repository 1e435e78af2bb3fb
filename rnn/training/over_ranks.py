"""Train over several processes together in `fit`: updates, and what they agree on.

Above `updating.py` and `carrying.py`, and `rnn/distributed`; below the loop. Each rank computes the
loss of its rows, and a table tells all ranks what the others have before gradients are added.
"""

import math
from hashlib import blake2b
from typing import Any, NamedTuple

from engine.backends import HOST
from engine.random import random_state, rows, set_random_state
from rnn.data.loader import whole_batch
from rnn.distributed.agreement import check_same, raised, together
from rnn.distributed.communicator import Communicator, marked
from rnn.distributed.sharing import Share, shared
from rnn.distributed.sums import choose, summed
from rnn.models.stacks import detached
from rnn.serialization import documents
from rnn.training.carrying import own_carried
from rnn.training.reading import digest
from rnn.training.run import Run
from rnn.training.updating import NO_CAUSE, Update, clipped, count_of, explained_step, loss_of

HEAD = 4  # numbers of the table before those of the parameters
SAME_DATA = (
    "give every rank the whole data in the same order, from the same files and seeds; each takes "
    "its own rows of every batch"
)


class _Part(NamedTuple):
    """Hold the part of a rank in an update: its rows, their count, the sum of their losses."""

    shares: list[Share | None]
    counted: float
    total: float
    carried: Any


def begin(run: Run) -> None:
    """Give all ranks the weights, the optimiser and the randomness of rank 0, and connect them."""
    own = _ranks(run)
    parts: list[Any] = [run.model, run.optimizer, *([run.settings.ema] if run.settings.ema else [])]
    mine = None if own.rank else ([part.state_dict() for part in parts], random_state())
    states, random = own.broadcast(mine)

    def take() -> None:
        for part, state in zip(parts, states, strict=True):
            part.load_state_dict(state)

    together(own, take)
    set_random_state(random)
    choose(own, run.optimizer.parameters)


def computed(run: Run) -> tuple[list[Any], Update | None]:
    """Read the batches of an update, and give the parameters the gradient of their mean loss. As
    `updating.computed`, of the rows of all ranks. An error of one rank is raised on all.
    """
    own, before, fault = _ranks(run), random_state(), None
    batches: list[Any] = []
    first: str | None = None
    part = _Part([], 0.0, 0.0, None)
    try:
        batches = run.reader.group(run.position)
        if not run.compared and batches:
            first = digest(whole_batch(batches[0]))
    except Exception as error:
        fault = error
    if not run.compared:
        if fault is None:
            run.compared = True
        raised(own, fault)
        check_same(own, "the first batch", first, SAME_DATA)
    if fault is None:
        try:
            part = _of_own_rows(run, batches, before)
        except Exception as error:
            fault = error
    parameters = run.optimizer.parameters
    table = HOST.xp.zeros(HEAD + len(parameters))
    table[:HEAD] = fault is not None, len(batches), part.counted, part.total
    if fault is None:
        table[HEAD:] = [x.grad is not None for x in parameters]
    own.sum(table)
    failed, number, count, total = table[:HEAD].tolist()
    if failed:
        raised(own, fault)
    if number != own.size * len(batches):
        _refuse(f"the ranks have different numbers of batches in an epoch; {SAME_DATA}")
    if not batches:
        return batches, None
    if not count:
        _refuse("nothing counts in the batch of all ranks; see `count`")
    if not table[HEAD:].any():
        _refuse(
            "the loss depends on no parameter that is trained; is it computed from another "
            "model than the one it is given?"
        )
    summed(own, parameters, (table[HEAD:] > 0).tolist(), part.counted / count)
    norm = clipped(run)
    if not math.isfinite(norm):
        _explain(run, part, before, norm)
    return batches, Update(total / count, count, norm, part.carried)


def _of_own_rows(run: Run, batches: list[Any], before: Any) -> _Part:
    """Give the parameters the gradient of the mean loss over the rows of this rank."""
    own, ranks = run.settings, _ranks(run)
    shares = [shared(ranks, own.data, batch) for batch in batches]
    counts = [0.0 if share is None else count_of(own, share.batch) for share in shares]
    counted, total = math.fsum(counts), 0.0
    carried = own_carried(run, shares[0]) if shares else None
    run.carried = carried
    run.optimizer.zero_grad()
    for batch, share, count in zip(batches, shares, counts, strict=True):
        if share is None:
            if len(batches) > 1:  # what is drawn for it is drawn, as more may be drawn after it
                first = shared(ranks, own.data, batch, 0)
                assert first is not None
                loss_of(own, first.batch, None, run.step)
            continue
        with rows(*share.rows):
            loss, carried = loss_of(own, share.batch, carried, run.step)
            if count:  # else it may be the mean of nothing
                value = float(loss.item())
                if not math.isfinite(value):
                    raise explained_step(run, [share.batch], before, f"loss is {value}")
                total += value * count
                (loss if count == counted else loss * (count / counted)).backward()
        carried = detached(carried)
    return _Part(shares, counted, total, carried)


def _explain(run: Run, part: _Part, before: Any, norm: float) -> None:
    """Raise the error of a gradient that is not finite, of the rank that has made it so."""
    own, fault = _ranks(run), None
    there = [share for share in part.shares if share is not None]
    if there:
        with rows(*there[0].rows):
            batches = [share.batch for share in there]
            fault = explained_step(run, batches, before, f"gradient norm is {norm}")
    causes = own.gather(fault is not None and NO_CAUSE not in str(fault))
    blamed = causes.index(True) if True in causes else 0
    raised(own, fault if own.rank == blamed else None)


def agreed(run: Run, asked: bool) -> bool:
    """Return whether a signal came on any rank; share a wish to stop, and the randomness. What one
    rank has drawn by itself, as in a callback, is forgotten: rank 0's state counts.
    """
    own, stopped = _ranks(run), run.history.stopped
    mark = blake2b(documents.written(random_state()), digest_size=6).digest()
    number = float(int.from_bytes(mark, "big"))  # below 2**48: exact
    table = HOST.xp.asarray([float(asked), float(bool(stopped)), number, -number])
    any_asked, any_stopped, most, least = own.most(table).tolist()
    if any_stopped:
        run.history.stopped = next(reason for reason in own.gather(stopped) if reason)
    if most != -least:
        set_random_state(own.broadcast(random_state()))
    return bool(any_asked)


def check_weights(run: Run) -> None:
    """Raise ValueError, on all ranks, where their weights are no longer the same."""
    own = _ranks(run)
    found = blake2b()
    for name, array in run.model.state_dict().items():
        found.update(name.encode())
        found.update(HOST.xp.ascontiguousarray(array).tobytes())
    check_same(
        own, "the digest of the weights", found.hexdigest(),
        "a rank has changed them by itself; callbacks have to change them alike on all ranks",
    )  # fmt: skip


def _refuse(message: str) -> None:
    """Raise ValueError, as all ranks do, told by the first."""
    raise marked(ValueError(f"fit: {message}"))


def _ranks(run: Run) -> Communicator:
    found = run.settings.distributed
    assert found is not None
    return found
