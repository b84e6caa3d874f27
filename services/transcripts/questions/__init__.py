"""Questions that citizens leave when no agent comes."""
