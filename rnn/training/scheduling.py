"""The schedule of a run: made, told what is better, and refused where it is too short.

Above `run.py` and the schedules, below `arguments.py`.
"""

from collections.abc import Mapping
from typing import Any

from rnn.optim import Optimizer
from rnn.schedules.base import Schedule
from rnn.training.run import Settings

WHEN = ("step", "epoch", "validation")


def made_schedule(given: Mapping[str, Any], optimizer: Optimizer) -> Schedule | None:
    """Return the schedule, made where a function makes it."""
    schedule, when = given["schedule"], given["schedule_every"]
    if when not in (None, *WHEN):
        raise ValueError(f"fit: schedule_every must be one of {', '.join(WHEN)}, got {when!r}")
    if schedule is None:
        return None
    if not isinstance(schedule, Schedule):
        if not callable(schedule):
            raise TypeError(
                "fit: schedule must be a Schedule or a function of the optimizer that makes one, "
                f"got {type(schedule).__name__}"
            )
        schedule = schedule(optimizer)
        if not isinstance(schedule, Schedule):
            raise TypeError(f"fit: schedule made a {type(schedule).__name__}, expected a Schedule")
    if schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule is of another optimizer; give that one, too")
    unmeasured = given["validation"] is None and given["evaluate"] is None
    if unmeasured and (when == "validation" or takes_figures(schedule, when)):
        raise ValueError("fit: the schedule follows a validation: give validation or evaluate")
    return schedule


def takes_figures(schedule: Schedule | None, when: str | None) -> bool:
    """Return whether a schedule compares figures of validations, be it in its last part only."""
    return schedule is not None and schedule.takes_metric and when in (None, "validation")


def follow(schedule: Schedule | None, when: str | None, mode: str | None) -> None:
    """Tell a schedule what is better of the figure that it takes: a loss, or the one watched."""
    if schedule is None or not schedule.takes_metric:
        return
    try:
        schedule.follow(mode or "min" if takes_figures(schedule, when) else "min")
    except ValueError as error:
        raise ValueError(f"fit: {error}") from None


def check_length(own: Settings) -> None:
    """Raise ValueError for a schedule that is over before the run is, where that can be known."""
    schedule = own.schedule
    if schedule is None or schedule.length is None:
        return
    when = own.schedule_every or ("validation" if schedule.takes_metric else "step")
    taken = _moments(own, when)
    if taken is None:
        return
    taken += 0 if own.resume else schedule.steps
    if taken > schedule.length:
        raise ValueError(
            f"fit: {type(schedule).__name__} is over after {schedule.length} steps, and this run "
            f"takes {taken} of them, one every {when}; make it longer or the run shorter"
        )


def _moments(own: Settings, when: str) -> int | None:
    """Return how many steps, epochs or validations a run has, None where that is not known."""
    each = own.steps_per_epoch
    if when == "validation" and own.validate_every:
        each = own.validate_every
    elif when != "step" and own.epochs is not None:
        return own.epochs
    if own.total is None or when == "step":
        return own.total
    return None if not each else own.total // each if when == "epoch" else -(-own.total // each)
