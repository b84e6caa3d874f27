"""Citizens who wait for an answer in a running chat: rules, timers and metrics."""
