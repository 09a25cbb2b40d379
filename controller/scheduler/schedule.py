"""The scheduler: who is next, where it goes, who makes room.

    schedule(snapshot, policy, now, seed) -> Decisions

    while somebody waits:
        turn      = whose turn it is              line, order, fairness
        node      = the best that fits            filters, scores, place
        otherwise   victims make room             preempt
                    or a node is kept for it      backfill

Pure: the same input gives the same decisions. The fleet is read, never changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile

from controller.scheduler.backfill import amounts_of
from controller.scheduler.fairness import Account, QueueRule
from controller.scheduler.filters import allowed
from controller.scheduler.gang import lack_of
from controller.scheduler.gang_room import Room, ever_fit, smallest
from controller.scheduler.keeping import Keeping
from controller.scheduler.line import Line, Turn, is_equal, is_groupable
from controller.scheduler.node_view import Standing
from controller.scheduler.order import is_aged
from controller.scheduler.place import Ask, Placer
from controller.scheduler.preempt import Preemption, Preemptor
from controller.scheduler.reasons import Code
from controller.scheduler.rejection import Rejection, rejection_of, with_left_out
from controller.scheduler.scores import STRATEGIES, Strategy
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from controller.scheduler.work import Taken, Work
from schemas.binding import GrantedPort, Grants
from schemas.quantity import show_shortfall


@dataclass(frozen=True, slots=True)
class Policy:
    """strategy: for queues and tasks that say none."""

    strategy: Strategy = "binpack"


@dataclass(frozen=True, slots=True)
class Placed:
    """A task, its node, and what it is granted there."""

    task: TaskView
    node: str
    taken: Taken

    @property
    def grants(self) -> Grants:
        """Return the concrete resources, ports as they were asked for."""
        order = {ask: number for number, ask in enumerate(self.task.shape.ports)}
        ports = tuple(
            GrantedPort(
                container=ask.container,
                container_port=ask.container_port,
                host_port=port,
                protocol=ask.protocol,
                name=ask.name,
            )
            for ask, port in sorted(self.taken.ports, key=lambda each: order[each[0]])
        )
        return Grants(resources=dict(self.task.shape.requests), ports=ports, devices=dict(self.taken.devices))


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """A task that was placed nowhere; nominated: the node that is kept for it, empty if none is."""

    task: TaskView
    rejection: Rejection
    nominated: str = ""


@dataclass(frozen=True, slots=True)
class Victim:
    uid: str
    node: str
    for_uid: str


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided, in the order in which it was. reservations: task uid -> (node, from when on).

    heads: uids of those behind whom their queue waits, whoever else would fit.
    """

    placed: tuple[Placed, ...]
    unschedulable: tuple[Unschedulable, ...]
    victims: tuple[Victim, ...] = ()
    reservations: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    heads: frozenset[str] = frozenset()


def schedule(snapshot: Snapshot, policy: Policy, now: float, seed: int) -> Decisions:
    """Place as many waiting tasks as may run, in order."""
    cycle = _Cycle(snapshot, policy, now, seed)
    while (turn := cycle.line.next()) is not None:
        if turn.is_gang:
            cycle.place_gang(turn)
        else:
            cycle.place_run(turn)
    return cycle.decisions()


class _Cycle:
    """Working state of one call."""

    def __init__(self, snapshot: Snapshot, policy: Policy, now: float, seed: int) -> None:
        self._fleet, self._policy, self._now = snapshot.fleet, policy, now
        self._work = Work.of(snapshot.fleet)
        self._placer = Placer(self._work, seed)
        self.line = Line(snapshot, snapshot.fleet.capacity(), now)
        self._preemptor = Preemptor(self._work, self.line.accounts)
        self._heads: set[str] = set()
        self._keeping = Keeping(self._work, now)
        self._counted = 0  # so many of those that were placed are known to `_keeping`
        self._placed: list[Placed] = []
        self._rejected: list[Unschedulable] = []
        self._preemptions: list[Preemption] = []
        self._rejections: dict[Ask, tuple[int, int, Rejection]] = {}
        self._node_of = snapshot.nominated
        self._nominated = self._keep_nominated(snapshot)

    def decisions(self) -> Decisions:
        name = self._fleet.view
        victims = (
            Victim(each.uid, each.node, found.task.uid)
            for found in self._preemptions
            for each in found.victims
        )
        rows = self._keeping.rows
        kept = {task.uid: (name(row).name, each.at) for row, each in rows.items() for task in each.tasks}
        heads = frozenset(self._heads)
        return Decisions(tuple(self._placed), tuple(self._rejected), tuple(victims), kept, heads)

    # Turns

    def place_run(self, turn: Turn) -> None:
        """Place equal tasks until the limit of the queue, or until none fits."""
        account, first = turn.account, turn.tasks[0]
        over = account.over_limit(first.shape.requests)
        if over is not None:
            for task in turn.tasks:
                self._reject_over_limit(task, over)
            self._gather_below_limit(turn, turn.tasks[:1])
            self.line.put_back(turn, 0)
            return
        allowed = _within_limit(account, first, len(turn.tasks))
        tasks = turn.tasks[:allowed]
        placed = self._place_equal(tasks, account) if self._is_group(tasks) else 0
        for task in tasks[placed:]:
            if not self._place_one(task, account):
                break
            placed += 1
        if placed < len(tasks):
            blocked = replace_tasks(turn, tasks[placed:])
            done = placed + self._blocked(blocked, account)
            self.line.put_back(turn, len(turn.tasks) - done)
        else:
            self.line.put_back(turn, len(turn.tasks) - placed)

    def place_gang(self, turn: Turn) -> None:
        """Place enough of the members, or none."""
        mark, gang = self._mark(turn.account), turn.tasks[0].gang
        assert gang is not None
        for task in turn.tasks:
            if turn.account.over_limit(task.shape.requests) is None:
                self._place_one(task, turn.account)
        found = len(self._placed) - mark.placed
        if found < gang.least:
            self._undo(mark)
            self._gang_blocked(turn, gang, found)
        else:
            self._place_others(turn, mark)
        self.line.put_back(turn, 0)

    def _place_others(self, turn: Turn, mark: "_Mark") -> None:
        """Enough of a gang were placed: each of the others goes where it fits, or says why it waits."""
        placed = {each.task.uid for each in self._placed[mark.placed :]}
        for task in turn.tasks:
            if task.uid not in placed:
                over = turn.account.over_limit(task.shape.requests)
                if over is not None:
                    self._reject_over_limit(task, over)
                elif not self._place_one(task, turn.account):
                    self._reject(task)

    def _mark(self, account: Account) -> "_Mark":
        used = dict(account.used)
        return _Mark(len(self._work.journal), len(self._placed), self._keeping.mark(), account, used)

    def _undo(self, mark: "_Mark") -> None:
        self._work.take_back(mark.journal)
        self._keeping.take_back(mark.passed)
        del self._placed[mark.placed :]
        mark.account.used = mark.used

    def _gang_blocked(self, turn: Turn, gang: Gang, found: int) -> None:
        """Not enough members fit: nodes are kept for them, or their queue waits; but not for who never could run."""
        members = smallest(turn.tasks, gang.least, self._fleet.capacity())
        lack = self._lack_of(turn, gang, members, found)
        over = turn.account.over_limit(tuple(amounts_of(members).items()))
        if not lack and over is None and self._place_otherwise(turn, members):
            return
        detail = lack or (_beyond_limit(gang, *over) if over else f"{found} of {gang.least} members fit")
        for task in turn.tasks:
            self._reject(task, Code.GANG_INCOMPLETE, detail)
        if lack:
            return
        if over is not None:
            self._gather_below_limit(turn, members)
        else:
            self._wait_for_nodes(turn, members)

    def _lack_of(self, turn: Turn, gang: Gang, members: tuple[TaskView, ...], found: int) -> str:
        """Return why these can't run whatever ends, empty if they could. found: how many fit now."""
        lack = lack_of(gang, [task.shape.requests for task in turn.tasks], self._fleet.capacity())
        if lack or ever_fit(members, self._work, self._now):
            return lack
        some = f"{found} of {gang.least} members fit"
        return f"{some}, and not all would on the nodes that are open to them, even if nothing else ran there"

    def _wait_for_nodes(self, turn: Turn, members: tuple[TaskView, ...]) -> None:
        rule = turn.account.rule
        if rule.backfill == "none":
            self._hold_back(turn.tasks, self.line.rest(turn))
        elif self._keeping.may_reserve(rule):
            self._count_new()
            self._keeping.keep_together(members, rule, first=turn.tasks[0])

    def _place_otherwise(self, turn: Turn, members: tuple[TaskView, ...]) -> bool:
        """Members that differ may fit in another order than theirs: the largest first."""
        if len({task.shape for task in members}) == 1:
            return False
        room = self._keeping.room_now(members)
        return room is not None and self._place_all(turn, room)

    def _place_all(self, turn: Turn, room: Room) -> bool:
        """Place members where they are to go, all or none."""
        mark = self._mark(turn.account)
        for row, task in ((row, task) for row, tasks in room.members.items() for task in tasks):
            name = self._fleet.view(row).name
            if name in task.ending_on or not self._fits_on(row, task):
                self._undo(mark)
                return False
            turn.account.take(task.shape.requests)
            self._placed.append(Placed(task, name, self._work.take(row, task.shape)))
        self._place_others(turn, mark)
        return True

    def _is_group(self, tasks: tuple[TaskView, ...]) -> bool:
        """Say whether no room is kept for any of these, or from them: such are placed one by one."""
        if not is_groupable(tasks[0]) or self._keeping.rows:
            return False
        return not self._nominated or self._nominated.keys().isdisjoint(_uids(tasks))

    def _place_equal(self, tasks: tuple[TaskView, ...], account: Account) -> int:
        shape, count = tasks[0].shape, 0
        for task, taken in zip(
            tasks, self._placer.run(shape, self._strategy(tasks[0], account), len(tasks)), strict=False
        ):
            self._placed.append(Placed(task, self._fleet.view(taken.row).name, taken))
            count += 1
        account.take(shape.requests, count)
        return count

    def _place_one(self, task: TaskView, account: Account) -> bool:
        kept = self._nominated.pop(task.uid, None)
        if kept is not None:
            self._release(kept)
        row = self._row_for(task, account)
        if row is None:
            return False
        self._keeping.passed(task, row)
        taken = self._work.take(row, task.shape)
        account.take(task.shape.requests)
        self._placed.append(Placed(task, self._fleet.view(row).name, taken))
        return True

    def _row_for(self, task: TaskView, account: Account) -> int | None:
        """The node that is kept for it, or its previous one, if that fits; else the best.

        Where it just failed only if nothing else fits.
        """
        strategy = self._strategy(task, account)
        if is_groupable(task) and not self._keeping.rows and task.uid not in self._node_of:
            return self._placer.best(task.shape, strategy)
        out = {self._fleet.row_of[name] for name in task.ending_on if name in self._fleet.row_of}
        promised = self._fleet.row_of.get(self._node_of.get(task.uid, ""))
        if promised is not None and promised not in out and self._fits_on(promised, task):
            return promised  # also where a node is kept for another: that has reckoned with it
        out |= self._keeping.closed_to(task)
        previous = self._fleet.row_of.get(task.previous_node)
        if previous is not None and previous not in out and self._fits_on(previous, task):
            return previous
        failed = {self._fleet.row_of[name] for name in task.failed_on if name in self._fleet.row_of}
        if failed - out:
            row = self._placer.best(task.shape, strategy, out | failed)
            if row is not None:
                return row
        return self._placer.best(task.shape, strategy, out)

    def _fits_on(self, row: int, task: TaskView) -> bool:
        return bool(self._placer.ask(task.shape).fits(slice(row, row + 1))[0])

    def _strategy(self, task: TaskView, account: Account) -> Strategy:
        return strategy_of(task, account.rule, self._policy)

    # When nothing fits

    def _finds_victims(self, task: TaskView, account: Account) -> bool:
        """Keep the room that others make, or are making already; say whether there is any."""
        kept = self._nominated.pop(task.uid, None)
        if kept is not None:
            self._release(kept)
        row = self._row_being_freed(task)
        if row is not None:
            self._reject(task, nominated=self._fleet.view(row).name)
            self._work.take_equal(row, task.shape, 1)
            account.take(task.shape.requests)
            return True
        preemption = self._preemptor.find(task, self._now, out=self._keeping.before(task))
        if preemption is None:
            return False
        self._reject(task, nominated=self._fleet.view(preemption.row).name)
        self._preempt(preemption)
        return True

    def _blocked(self, turn: Turn, account: Account) -> int:
        """The first of these tasks fits nowhere: it preempts, or gets a reservation; or its whole queue waits.

        Returns how many of them were decided: those after it that are equal in all to it fare as it does.
        """
        task = turn.tasks[0]
        if self._finds_victims(task, account):
            return 1
        backfill = account.rule.backfill
        if backfill == "none" and ever_fit((task,), self._work, self._now):
            self._reject(task)
            self._hold_back(turn.tasks[:1], (*turn.tasks[1:], *self.line.rest(turn)))
            return len(turn.tasks)
        alike = turn.tasks[:1] if backfill == "conservative" else self._alike(turn)
        for other in alike:
            self._reject(other)
        if self._keeping.may_reserve(account.rule):
            self._count_new()
            self._keeping.keep(task, account.rule)
        return min(len(alike), len(turn.tasks))

    def _hold_back(self, heads: tuple[TaskView, ...], others: tuple[TaskView, ...]) -> None:
        """Nobody of this queue passes its head."""
        self._heads.update(_uids(heads))
        for other in others:
            self._reject(other, Code.BEHIND_HEAD, str(heads[0].ref))

    def _count_new(self) -> None:
        for each in self._placed[self._counted :]:
            self._keeping.expected.count(each.taken.row, each.task)
        self._counted = len(self._placed)

    def _alike(self, turn: Turn) -> tuple[TaskView, ...]:
        """Return those that fare as the first does, also in preemption; some may come after the turn."""
        first, tasks = turn.tasks[0], turn.tasks
        if not is_groupable(first):
            return tasks[:1]
        asked = (first.priority, first.estimate, first.preempts)

        def is_alike(task: TaskView) -> bool:
            fares = (task.priority, task.estimate, task.preempts) == asked and task.uid not in self._nominated
            return fares and is_equal(task, first)

        found = (first, *takewhile(is_alike, tasks[1:]))
        return found if len(found) < len(tasks) else (*found, *self.line.take_while(turn, is_alike))

    def _row_being_freed(self, task: TaskView) -> int | None:
        """Return the row of the node that is kept for a task, as long as what ends there makes room for it.

        Others may be ending there as well, for long and with little: it needs not wait for them alone.
        """
        row = self._fleet.row_of.get(self._node_of.get(task.uid, ""))
        if row is None or not allowed(task.shape.place, self._fleet)[row]:
            return None
        return row if self._ending_on(row) and self._will_fit(row, task) else None

    def _will_fit(self, row: int, task: TaskView) -> bool:
        """Say whether there is room for a task, or will be when those have ended who are ending there."""
        return self._preemptor.will_fit(task, row, self._ending_on(row))

    def _ending_on(self, row: int) -> list[Standing]:
        return [each for each in self._fleet.on_row.get(row, {}).values() if each.is_ending]

    def _preempt(self, preemption: Preemption) -> None:
        """Give the room to the task now, though it is free only when the victims have ended."""
        self._preemptor.take(preemption)
        self._preemptions.append(preemption)
        self._keeping.passed(preemption.task, preemption.row)
        self._work.take(preemption.row, preemption.task.shape)
        self.line.accounts[preemption.task.queue].take(preemption.task.shape.requests)

    def _gather_below_limit(self, turn: Turn, heads: tuple[TaskView, ...]) -> None:
        """Where its queue is at its limit, too, nobody passes who has waited too long, or anybody without backfill.

        Who is larger than the limit holds nobody back.
        """
        empty, asked = Account(turn.account.rule), tuple(amounts_of(heads).items())
        waits = empty.rule.backfill == "none" or is_aged(turn.tasks[0], empty.rule, self._now)
        if waits and empty.over_limit(asked) is None:
            self._hold_back(heads, self.line.rest(turn))

    def _reject_over_limit(self, task: TaskView, over: tuple[str, int]) -> None:
        self._reject(task, Code.QUEUE_LIMIT, f"{over[0]} would be over it by {show_shortfall(*over)}")

    def _reject(
        self, task: TaskView, queue: Code | None = None, detail: str = "", nominated: str = ""
    ) -> None:
        rejection = self._rejection(task)
        if queue is not None:
            rejection = replace(rejection, queue=queue, queue_detail=detail)
        elif not rejection.is_complete:
            rejection = with_left_out(rejection, self._left_out(task))
        self._rejected.append(Unschedulable(task, rejection, nominated))

    def _rejection(self, task: TaskView) -> Rejection:
        """Return why its shape fits nowhere; one that names every node is true for as long as room only shrinks."""
        ask, length = self._placer.ask(task.shape), len(self._work.journal)
        known = self._rejections.get(ask)
        stamp = ask.stamp()
        if known is None or known[0] != stamp or (known[1] != length and not known[2].is_complete):
            known = self._rejections[ask] = stamp, length, rejection_of(task.shape, self._work)
        return known[2]

    def _left_out(self, task: TaskView) -> dict[str, Code]:
        """Return the nodes that this task may not use though its shape may fit, and why: node name -> code."""
        found = {self._fleet.view(row).name: Code.KEPT_FOR_OTHERS for row in self._keeping.rows}
        return found | {name: Code.OLD_COPY_ENDING for name in task.ending_on if name in self._fleet.row_of}

    # Room that is kept from cycles before

    def _keep_nominated(self, snapshot: Snapshot) -> dict[str, Taken]:
        """Take the room that was promised, where it is free or becomes free, so that nobody else gets it.

        Where nobody was told to go yet there is no room to keep: it would be missed by those who go before in the line.
        """
        kept = {}
        for task in snapshot.pending:
            row = self._fleet.row_of.get(snapshot.nominated.get(task.uid, ""))
            if row is not None and self._will_fit(row, task):
                kept[task.uid] = self._work.take_equal(row, task.shape, 1)
        return kept

    def _release(self, taken: Taken) -> None:
        """It is this task's turn: it may have the room, or another's."""
        self._work.take_equal(taken.row, taken.shape, -1)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What things were like before a gang was tried. passed: by how many reservations somebody had passed."""

    journal: int
    placed: int
    passed: int
    account: Account
    used: dict[str, int]


def _uids(tasks: Iterable[TaskView]) -> set[str]:
    return {task.uid for task in tasks}


def _beyond_limit(gang: Gang, resource: str, passed_by: int) -> str:
    by = show_shortfall(resource, passed_by)
    return (
        f"with {gang.least} members of gang {gang.name} its queue would pass its limit of {resource} by {by}"
    )


def _within_limit(account: Account, task: TaskView, most: int) -> int:
    """Return how many equal tasks may run before the queue's limit, at most `most`."""
    for name, amount in task.shape.requests:
        limit = account.rule.limit.get(name)
        if amount and limit is not None:
            most = min(most, (limit - account.used.get(name, 0)) // amount)
    return most


def replace_tasks(turn: Turn, tasks: tuple[TaskView, ...]) -> Turn:
    return Turn(turn.account, tasks)


def strategy_of(task: TaskView, rule: QueueRule, policy: Policy) -> Strategy:
    """Return how nodes are scored; optimal, and one that a later version wrote, count as binpack."""
    written = task.shape.strategy or rule.strategy or policy.strategy
    return written if written in STRATEGIES else "binpack"
