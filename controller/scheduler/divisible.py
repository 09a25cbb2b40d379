"""Dominant resource fairness where tasks can be divided at will: the yardstick against which whole tasks are tested.

Each user asks for tasks of one shape, as many as can be had up to a demand. All users' weighted dominant shares rise
together; a user stops when its demand is met or when a resource that it needs is used up. Source: Ghodsi et al.,
Dominant Resource Fairness, NSDI 2011, section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class User:
    """task: resource -> amount of one task. demand: how many tasks at most, None for no bound."""

    task: Mapping[str, Fraction]
    weight: Fraction = Fraction(1)
    demand: Fraction | None = None


def fill(capacity: Mapping[str, Fraction], users: Sequence[User]) -> tuple[Fraction, ...]:
    """Return how many tasks each user gets, exactly."""
    free = dict(capacity)
    tasks = [Fraction(0)] * len(users)
    rising = {index for index, user in enumerate(users) if _speed(user, capacity) and user.demand != 0}
    while rising:
        speeds = {index: _speed(users[index], capacity) for index in rising}
        spent = {
            name: sum(
                (speed * users[i].task.get(name, Fraction(0)) for i, speed in speeds.items()), Fraction(0)
            )
            for name in free
        }
        steps = [free[name] / rate for name, rate in spent.items() if rate]
        steps += [
            (demand - tasks[i]) / speed
            for i, speed in speeds.items()
            if (demand := users[i].demand) is not None
        ]
        step = min(steps)
        for index, speed in speeds.items():
            tasks[index] += speed * step
        for name, rate in spent.items():
            free[name] -= rate * step
        rising = {i for i in rising if _may_rise(users[i], tasks[i], free)}
    return tuple(tasks)


def _speed(user: User, capacity: Mapping[str, Fraction]) -> Fraction:
    """Return the tasks by which a weighted dominant share rises by one; none if it asks for what is not there."""
    asked = {name: amount for name, amount in user.task.items() if amount}
    if not asked or any(not capacity.get(name) for name in asked):
        return Fraction(0)
    return user.weight / max(amount / capacity[name] for name, amount in asked.items())


def _may_rise(user: User, tasks: Fraction, free: Mapping[str, Fraction]) -> bool:
    has_room = all(free[name] > 0 for name, amount in user.task.items() if amount)
    return has_room and (user.demand is None or tasks < user.demand)
