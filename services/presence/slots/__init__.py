"""Slots of agents: the rules, the selection of an agent, and the allocation."""
