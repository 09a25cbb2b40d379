"""`python -m agent NODE`: an agent with default settings. `berth agent` takes all of them."""

import sys

from agent.main import AgentOptions, run_agent

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m agent NODE; for all settings see: berth agent --help")
    sys.exit(run_agent(AgentOptions(node=sys.argv[1])))
