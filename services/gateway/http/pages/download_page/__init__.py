"""The page on which a citizen downloads a conversation with a code, on another device."""
