"""HTTP parts that services share: problem documents, tokens, client addresses, streamed answers."""
