"""The two websockets: sessions, connections, transport and limits."""
