"""One container, its image present: from the spec in etcd to Running in status, against bare create and start."""

from itertools import count

from bench.bare import Bare
from bench.harness import MORE_PAIRS, Comparison, Goal, RowResult, interleaved
from bench.lab import Lab
from bench.site import Meter, site


class OneContainer:
    name = "one"
    title = "One container"
    goal = "at most 1.25 x the bare SDK"

    def run(self, lab: Lab, pairs: int) -> RowResult:
        numbers = count()
        with site(lab, self.name) as ours, Bare(lab.docker_host, 1) as bare:
            meter = Meter(ours)

            def measure_ours() -> float:
                name = f"one-{next(numbers)}"
                seconds = meter.run([name])
                ours.clear([name])
                return seconds

            def measure_bare() -> float:
                seconds = bare.run([f"bare-{next(numbers)}"])
                bare.clear()
                return seconds

            found = interleaved(measure_ours, measure_bare, MORE_PAIRS * pairs, lab.say)
        comparison = Comparison(
            "one container, image present", "Berth", "Docker SDK", "s", found, Goal("at most", 1.25)
        )
        return RowResult(self.name, self.title, self.goal, (comparison,), (meter.reading(1),), notes=NOTES)


NOTES = (
    "Berth: from sending the transaction that writes the task's spec to the watch event that shows state "
    "Running in the task's status. In between lie the controller's decision, the binding, the agent's image "
    "check, create, start and inspect, its report, and the status: four writes to etcd one after another, each "
    "with an fsync.",
    "Docker SDK: create and start of a container with the same image, command, limits, log settings and "
    "number of labels, over a connection that is open already. It does not wait for more than the answer.",
)
