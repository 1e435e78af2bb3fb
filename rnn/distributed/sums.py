"""Add gradients over ranks: a flat array of each dtype, one message each, on devices or the host.

On their devices, by NCCL, where each rank has its parameters on one of its own and the library is
there; MPI connects them, and everything else goes through it. Those of half precision are added in
float32: a sum of many halves is far from the true one, or infinite. They are added after the
backward pass, not during it: a recurrence has the gradients of its weights at its end, so there is
little to wait beside. Above `communicator.py` and `rnn/optim/flat.py`.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, NAMESPACES, Array, DType, by_device, on_device_of, on_host
from rnn.distributed.communicator import Communicator
from rnn.optim.flat import gathered, parts, wide


class _Offer(NamedTuple):
    """Tell why a rank cannot add on its device, or which device of a machine it is."""

    fault: str | None
    warns: bool = False  # whether that is a surprise
    machine: str = ""
    device: str = ""  # as all processes of the machine call it
    connected: bool = False


def choose(own: Communicator, parameters: Sequence[Tensor]) -> None:
    """Connect the devices of the ranks for the gradients of these parameters, where that can be.

    Otherwise `own.why_on_host` says why not, and rank 0 warns where devices are left unused. All
    ranks have to call it. Raises RuntimeError where they cannot be connected.
    """
    offers: list[_Offer] = own.gather(_offer(own, parameters))
    reason = _reason(offers)
    if reason is None and not all(one.connected for one in offers):
        own.link = None
        reason = _connected(own, parameters[0])
    own.why_on_host = reason
    if reason is None:
        return
    own.link = None
    if not own.rank and any(one.warns for one in offers):
        warnings.warn(
            f"fit: distributed: gradients are added on the host and not on the devices: {reason}; "
            "Communicator(on_device=False) asks for that and does not warn",
            stacklevel=2,
        )


def _offer(own: Communicator, parameters: Sequence[Tensor]) -> _Offer:
    devices = {x.device for x in parameters}
    if own.size == 1:
        return _Offer("there is one process")
    if not own.on_device:
        return _Offer("on_device=False")
    if all(on_host(x.data) for x in parameters):
        return _Offer(f"the parameters of rank {own.rank} lie on the host")
    if len(devices) > 1:
        what = f"the parameters of rank {own.rank} lie on {', '.join(sorted(devices))}"
        return _Offer(what, warns=True)
    device = devices.pop()
    library = by_device(device).device_sums
    if (fault := library.refusal()) is not None:
        return _Offer(f"{fault} on rank {own.rank}", warns=True)
    connected = own.link is not None and own.link.device == _number(device)
    return _Offer(None, True, own.machine, library.identity(_number(device)), connected)


def _reason(offers: Sequence[_Offer]) -> str | None:
    """Return why not all ranks can add on a device of their own, None where they can."""
    fault = next((one.fault for one in offers if one.fault is not None), None)
    if fault is not None:
        return fault
    places = [(one.machine, one.device) for one in offers]
    for place in places:
        ranks = [str(rank) for rank, one in enumerate(places) if one == place]
        if len(ranks) > 1:
            return (
                f"ranks {', '.join(ranks)} share the device {place[1]} of {place[0]}, which NCCL "
                "refuses; move the model of each rank to a device of its own: "
                "model.to(communicator.device('cuda'))"
            )
    return None


def _connected(own: Communicator, parameter: Tensor) -> str | None:
    """Connect the devices; return why that is left, where no rank has begun."""
    library, fault, token = by_device(parameter.device).device_sums, None, None
    if not own.rank:
        try:
            token = library.token()
        except RuntimeError as error:
            fault = f"NCCL: {error}"
    fault, token = own.broadcast((fault, token))
    if fault is not None:
        return str(fault)
    try:
        own.link = library.Sums(_number(parameter.device), own.size, own.rank, token)
    except RuntimeError as error:  # the others may wait for this rank: it must not go on alone
        raise RuntimeError(
            f"fit: distributed: rank {own.rank} on {parameter.device} is not connected to the "
            f"others: {error}; NCCL_DEBUG=WARN in the environment says more, and "
            "Communicator(on_device=False) adds gradients on the host"
        ) from error
    return None


def _number(device: str) -> int:
    return int(device.partition(":")[2])


def summed(
    own: Communicator, parameters: Sequence[Tensor], known: Sequence[bool], weight: float
) -> None:
    """Give parameters the sum over ranks of `weight` times their gradients.

    `known` says of each whether any rank has a gradient, which the others take as zero. Raises
    RuntimeError where gradients are added on devices and another rank is gone.
    """
    sorts: dict[str, list[Tensor]] = {}
    for x, there in zip(parameters, known, strict=True):
        if there:
            sorts.setdefault(wide(x.dtype).str, []).append(x)
    adder: Any = own if own.link is None else own.link
    for some in sorts.values():
        dtype = wide(some[0].dtype)
        with on_device_of(some[0].data):
            flat = gathered([_gradient(x, dtype, on_host=own.link is None) for x in some])
            flat *= weight
            adder.sum(flat)
            for x, part in zip(some, parts(flat, [x.data for x in some]), strict=True):
                x.grad = _placed(x, part)


def _gradient(x: Tensor, dtype: DType, *, on_host: bool) -> Array:
    """Return the gradient of a parameter as an array, zeros where it has none."""
    if x.grad is None:
        return (HOST.xp if on_host else NAMESPACES[type(x.data)]).zeros(x.shape, dtype=dtype)
    if on_host:
        return HOST.xp.asarray(x.grad.numpy(), dtype=dtype)
    return x.grad.data.astype(dtype, copy=False)


def _placed(x: Tensor, part: Array) -> Tensor:
    """Return a gradient of the dtype and on the device of its parameter."""
    if type(part) is type(x.data) and part.dtype == x.dtype:
        return Tensor(part)
    return engine.asarray(part, dtype=x.dtype, device=x.device)
