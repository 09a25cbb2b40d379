"""The whole cluster in one thread under virtual time: real controllers, real agents, seeded faults, invariants.

See docs/design/simulation.md.
"""
