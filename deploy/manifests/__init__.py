"""Whether the manifests say what the code needs: `make manifests` builds every overlay and component and checks it."""
