"""The pages on which a citizen identifies in a chat."""
