"""The gateway service: the public HTTP interface, the websockets of citizens and agents, and the web pages."""
