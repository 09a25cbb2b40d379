"""`python -m sim --seed 7`: run one seed and print the story of what happened and why."""

import argparse
import logging
import sys

from sim.world import Plan, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the order of steps and the faults")
    parser.add_argument("--seeds", type=int, default=1, help="run that many seeds, from --seed on")
    parser.add_argument("--no-rewinds", action="store_true", help="never restore a backup")
    parser.add_argument("--workloads", action="store_true", help="with Deployments, DaemonSets and Jobs")
    parser.add_argument("--queues", action="store_true", help="with queues, priorities and gangs")
    parser.add_argument("--quiet", action="store_true", help="print the story of failing seeds only")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        plan = Plan(rewinds=not options.no_rewinds, workloads=options.workloads, queues=options.queues)
        result = run(seed, plan)
        if result.violation or not options.quiet:
            print(result.story.text())
        print(
            f"seed {seed}: {'VIOLATED: ' + result.violation if result.violation else 'all invariants held'}"
        )
        failed += bool(result.violation)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
