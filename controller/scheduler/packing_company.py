"""What tasks ask of the tasks around them, in the packing model.

The filters look at one task after the other; a program knows only how it is in the end. So what depends on the order
is demanded of the end, and for company of those who themselves need none: stricter than the filters, never laxer.
"""

from controller.scheduler.columns import ABSENT
from controller.scheduler.filters import allowed
from controller.scheduler.packing_model import Model
from controller.scheduler.shape import NODE, Cap, Spread, TaskTerm

Domains = dict[int, list[int]]
"""Value of a topology -> columns of the rows that have it."""


def add_company(model: Model) -> None:
    """Add what each item asks of the tasks around it."""
    company = _Company(model)
    for number, item in enumerate(model.items):
        for term in item.shape.company.repels:
            company.keep_apart(number, term)
        for cap in item.shape.company.caps:
            company.cap(number, cap)
        for term in item.shape.company.near:
            company.keep_near(number, term)
        for spread in item.shape.company.spreads:
            if spread.is_hard:
                company.spread(number, spread)


class _Company:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._program = model.program
        self._present: dict[tuple[object, str, int], int] = {}
        self._of_term: dict[TaskTerm, list[int]] = {}

    def keep_apart(self, item: int, term: TaskTerm) -> None:
        others = self._columns([each for each in self._matching(term) if each != item], term.topology)
        for domain, own in self._columns([item], term.topology).items():
            if domain == ABSENT:
                continue
            if term.matches(self._model.items[item].shape.labels):
                self._program.add_row(dict.fromkeys(own, 1.0), high=1.0)
            if domain in others:
                present = self._presence(item, term.topology, domain, own)
                most = self._most(others[domain])
                self._program.add_row({**dict.fromkeys(others[domain], 1.0), present: most}, high=most)

    def cap(self, item: int, cap: Cap) -> None:
        term, matching = cap.term, self._matching(cap.term)
        counted = self._columns(matching, term.topology)
        around = self._model.work.count(term)
        everybody_is_capped = item in matching and all(
            cap in self._model.items[each].shape.company.caps for each in matching
        )
        most = float(cap.most if item in matching else cap.most - 1)
        for domain, own in self._columns([item], term.topology).items():
            if domain == ABSENT or domain not in counted:
                continue
            room = most - float(around.by_domain[domain])
            terms = dict.fromkeys(counted[domain], 1.0)
            if everybody_is_capped:
                self._program.add_row(terms, high=room)
                continue
            slack = max(0.0, self._most(counted[domain]) - room)
            present = self._presence(item, term.topology, domain, own)
            self._program.add_row({**terms, present: slack}, high=room + slack)

    def keep_near(self, item: int, term: TaskTerm) -> None:
        model = self._model
        around = model.work.count(term)
        hosts = [each for each in self._matching(term) if not model.items[each].shape.company.near]
        near = self._columns(hosts, term.topology)
        may_begin = term.matches(model.items[item].shape.labels) and not around.by_row.any() and not hosts
        begun: list[int] = []
        for domain, own in self._columns([item], term.topology).items():
            if domain != ABSENT and around.by_domain[domain] > 0:
                continue
            if domain == ABSENT or not (may_begin or domain in near):
                self._close(own)
            elif may_begin:
                begun.append(self._shared_presence(term, domain))
            else:
                present = self._presence(item, term.topology, domain, own)
                self._program.add_row({present: 1.0, **dict.fromkeys(near[domain], -1.0)}, high=0.0)
        if begun:
            self._program.add_row(dict.fromkeys(begun, 1.0), high=1.0)

    def spread(self, item: int, spread: Spread) -> None:
        model, term = self._model, spread.term
        around = model.work.count(term)
        counted = self._columns(self._matching(term), term.topology)
        open_ = allowed(model.items[item].shape.place, model.work.fleet) & (around.domains != ABSENT)
        domains = sorted({int(each) for each in around.domains[open_]})
        there = {domain: float(around.by_domain[domain]) for domain in domains}
        most = max(there.values(), default=0.0) + sum(len(each.tasks) for each in model.items)
        least = self._program.add_derived(
            most,
            lambda values: min(
                (there[d] + float(values[counted.get(d, [])].sum()) for d in domains), default=0.0
            ),
        )
        for domain in domains:
            terms = {least: 1.0, **dict.fromkeys(counted.get(domain, []), -1.0)}
            self._program.add_row(terms, high=there[domain])
        for domain, own in self._columns([item], term.topology).items():
            if domain not in there:
                self._close(own)
                continue
            present = self._presence(item, term.topology, domain, own)
            terms = {least: -1.0, **dict.fromkeys(counted.get(domain, []), 1.0), present: most}
            self._program.add_row(terms, high=spread.max_skew - there[domain] + most)

    # Who is where

    def _matching(self, term: TaskTerm) -> list[int]:
        known = self._of_term.get(term)
        if known is None:
            items = enumerate(self._model.items)
            known = self._of_term[term] = [n for n, item in items if term.matches(item.shape.labels)]
        return known

    def _columns(self, items: list[int], topology: str) -> Domains:
        found: Domains = {}
        for item in items:
            for row, column in self._model.of_item(item).items():
                found.setdefault(self._domain(topology, row), []).append(column)
        return found

    def _domain(self, topology: str, row: int) -> int:
        return row if topology == NODE else int(self._model.work.fleet.label(topology)[1][row])

    def _presence(self, item: int, topology: str, domain: int, own: list[int]) -> int:
        """Return the column that is 1 if any of an item is in a domain."""
        return self._any((item, topology, domain), own)

    def _shared_presence(self, term: TaskTerm, domain: int) -> int:
        """The same for all who want to be near each other."""
        items = [n for n in self._matching(term) if term in self._model.items[n].shape.company.near]
        return self._any((term, term.topology, domain), self._columns(items, term.topology)[domain])

    def _any(self, key: tuple[object, str, int], columns: list[int]) -> int:
        if key not in self._present:
            present = self._program.add_derived(1.0, lambda values: float(values[columns].any()))
            for column in columns:
                self._program.add_row({column: 1.0, present: -self._program.high[column]}, high=0.0)
            self._present[key] = present
        return self._present[key]

    def _most(self, columns: list[int]) -> float:
        return float(sum(self._program.high[column] for column in columns))

    def _close(self, columns: list[int]) -> None:
        for column in columns:
            self._program.high[column] = 0.0
