"""Integer programs, and HiGHS to solve them: columns and rows are added, objectives are tried one after the other.

HiGHS is imported when something is solved, so that who never asks does not pay for it. It runs in one thread with a
fixed seed: bounded by nodes of its search, and not by time, the same program has the same answer everywhere.
Source: Huangfu and Hall, Parallelizing the dual revised simplex method (2018); https://highs.dev.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, gcd, inf
from typing import TYPE_CHECKING, Literal

import numpy as np

from controller.scheduler.columns import Floats

if TYPE_CHECKING:
    from highspy import Highs, HighsLp

Terms = Mapping[int, float]
"""Column -> coefficient."""

Status = Literal["Optimal", "Feasible", "Infeasible", "Unsolved"]
"""Optimal: proved. Feasible: a limit came first. Unsolved: a limit came before any answer."""

SEED = 7
EXACT = 1e-6  # how far from an integer HiGHS lets a value be


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop. seconds: of all objectives together. search_nodes: of each one's tree of branches."""

    seconds: float = 5.0
    search_nodes: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Solved:
    """values: of all columns, empty where there is no answer. bound: no answer is better than that."""

    status: Status
    values: Floats
    objective: float
    bound: float
    searched: int
    seconds: float


@dataclass(slots=True)
class Program:
    """derived: columns that follow from others, in the order in which they were added; for a first answer."""

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    integers: list[bool] = field(default_factory=list)
    row_low: list[float] = field(default_factory=list)
    row_high: list[float] = field(default_factory=list)
    rows: list[Terms] = field(default_factory=list)
    derived: list[tuple[int, Callable[[Floats], float]]] = field(default_factory=list)

    def add_column(self, high: float, *, low: float = 0.0, is_integer: bool = True) -> int:
        self.low.append(low)
        self.high.append(high)
        self.integers.append(is_integer)
        return len(self.low) - 1

    def add_derived(
        self, high: float, value: Callable[[Floats], float], *, low: float = 0.0, is_integer: bool = True
    ) -> int:
        """Add a column of which is known what it is when the columns before it are."""
        column = self.add_column(high, low=low, is_integer=is_integer)
        self.derived.append((column, value))
        return column

    def add_row(self, terms: Terms, *, low: float = -inf, high: float = inf) -> None:
        """Demand that a sum is between `low` and `high`; of nothing nothing is demanded."""
        self.rows.append(terms)
        self.row_low.append(low if terms else -inf)
        self.row_high.append(high if terms else inf)

    def add_amounts(self, amounts: Mapping[int, int], most: int, opens: int | None = None) -> None:
        """Demand that amounts in base units stay within `most`; with `opens` only if that column is 1.

        Divided by what all have in common, so that HiGHS counts in small integers and is exact.
        """
        unit = gcd(*amounts.values())
        terms: dict[int, float] = {column: amount // unit for column, amount in amounts.items()}
        room = most // unit
        if opens is None:
            self.add_row(terms, high=room)
        else:
            self.add_row({**terms, opens: -room}, high=0)

    def complete(self, values: Mapping[int, float]) -> Floats:
        """Return all columns: those given, the derived ones, 0 for others."""
        found: Floats = np.array(self.low, np.float64)
        for column, value in values.items():
            found[column] = value
        for column, derive in self.derived:
            found[column] = derive(found)
        return found

    def admit(self, values: Floats) -> None:
        """Loosen what an answer does not keep: what stands already may go on standing."""
        for number, terms in enumerate(self.rows):
            sum_ = total(terms, values)
            self.row_low[number] = min(self.row_low[number], sum_)
            self.row_high[number] = max(self.row_high[number], sum_)


def total(terms: Terms, values: Floats) -> float:
    return float(sum(factor * values[column] for column, factor in terms.items()))


def minimise(program: Program, objective: Terms, start: Floats, limits: Limits) -> Solved:
    """Return the least sum of `objective`, beginning with the answer `start`."""
    import highspy

    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in _options(limits).items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(program, objective))
    columns = np.arange(len(start), dtype=np.int32)
    solver.setSolution(len(start), columns, start)
    solver.run()
    return _read(solver, program, objective)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """An optimum of the program without regard to what must be whole. duals: what one more of each row is worth."""

    solved: Solved
    duals: Floats


def relax(program: Program, objective: Terms, limits: Limits) -> Relaxed | None:
    """Return the least sum of a program whose columns need not be whole, None if a limit came first."""
    import highspy

    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in _options(limits).items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(program, objective))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    found = solver.getSolution()
    values: Floats = np.array(found.col_value, np.float64)
    reached = total(objective, values)
    solved = Solved("Optimal", values, reached, reached, 0, solver.getRunTime())
    return Relaxed(solved, np.array(found.row_dual, np.float64))


def _options(limits: Limits) -> dict[str, bool | int | float]:
    return {
        "output_flag": False,
        "threads": 1,
        "random_seed": SEED,
        "time_limit": max(0.0, limits.seconds),
        "mip_max_nodes": limits.search_nodes,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": EXACT,
    }


def _model(program: Program, objective: Terms) -> "HighsLp":
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(program.low), len(program.rows)
    costs = np.zeros(len(program.low))
    costs[list(objective)] = list(objective.values())
    model.col_cost_ = costs
    model.col_lower_, model.col_upper_ = np.array(program.low), np.array(program.high)
    model.row_lower_ = np.array(program.row_low, np.float64)
    model.row_upper_ = np.array(program.row_high, np.float64)
    kinds = highspy.HighsVarType
    model.integrality_ = [kinds.kInteger if each else kinds.kContinuous for each in program.integers]
    matrix = model.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.start_ = np.cumsum([0, *(len(terms) for terms in program.rows)]).astype(np.int32)
    matrix.index_ = np.array([column for terms in program.rows for column in terms], np.int32)
    matrix.value_ = np.array([each for terms in program.rows for each in terms.values()], np.float64)
    return model


def _read(solver: "Highs", program: Program, objective: Terms) -> Solved:
    import highspy

    info, found = solver.getInfo(), solver.getModelStatus()
    known, ends = int(highspy.SolutionStatus.kSolutionStatusFeasible), highspy.HighsModelStatus
    has_answer = int(info.primal_solution_status) == known
    status: Status = "Feasible" if has_answer else "Unsolved"
    if found == ends.kOptimal:
        status = "Optimal"
    elif found in (ends.kInfeasible, ends.kUnboundedOrInfeasible):
        status, has_answer = "Infeasible", False
    values: Floats = np.array(solver.getSolution().col_value if has_answer else (), np.float64)
    whole = np.array(program.integers)
    if has_answer:
        values[whole] = np.rint(values[whole])
    reached = total(objective, values) if has_answer else inf
    bound = min(reached, _rounded(float(info.mip_dual_bound), program, objective))
    return Solved(status, values, reached, bound, max(0, int(info.mip_node_count)), solver.getRunTime())


def _rounded(bound: float, program: Program, objective: Terms) -> float:
    """A sum of integers is no less than the next integer."""
    are_whole = all(
        program.integers[column] and float(each).is_integer() for column, each in objective.items()
    )
    return float(ceil(bound - EXACT)) if are_whole and abs(bound) < inf else bound


def gap(objective: float, bound: float) -> float:
    """Return how far the bound is from the objective, as a share of the objective; 0 is proved."""
    if abs(objective) == inf or abs(bound) == inf:
        return inf
    return abs(objective - bound) / max(abs(objective), EXACT) if abs(objective - bound) > EXACT else 0.0


def shared(limits: Limits, spent: Sequence[Solved]) -> Limits:
    """Return what is left of the time."""
    return Limits(limits.seconds - sum(each.seconds for each in spent), limits.search_nodes)
