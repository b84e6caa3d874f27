"""Import-time tuning: PyJWT does not load the package `cryptography`. Must be imported before PyJWT.

It would take 10.7 MB in each process. Where a service has keys it imports the package's Ed25519 by itself, for 8.4 MB
(`services/common/http/key_ring.py`, `services/transcripts/evidence/signer.py`). Presence, whose logins at an issuer
need more of the package, does without this.
"""

import sys

sys.modules.setdefault("cryptography", None)  # type: ignore[arg-type]  # makes the import fail, as in the image
