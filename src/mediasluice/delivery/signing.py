"""Sign what a webhook sends, as Standard Webhooks has it, so that its receiver can tell who sent it.

Takes secrets as ``whsec_`` and base64, as a person wrote them; gives the headers of a message. With several secrets
there are several signatures, so that a receiver may change from one to the next at any time.
Fails with: BadSetting (no secret of this form), which never shows the secret.

Source: the specification of Standard Webhooks, "Signature scheme" and "Webhook secrets".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from mediasluice.errors import BadSetting

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret, as the specification has it
_HINT = "make one: echo whsec_$(openssl rand -base64 32)"


def key(secret: str, place: str) -> bytes:
    """The bytes of a secret. ``place`` says which one it is, for the error."""
    encoded = secret.strip().removeprefix(PREFIX)
    try:
        found = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise BadSetting(f"{place} is no {PREFIX} and base64 after it", hint=_HINT) from None
    if not SHORTEST <= len(found) <= LONGEST:
        message = f"{place} has {len(found)} bytes, not {SHORTEST} to {LONGEST}"
        raise BadSetting(message, hint=_HINT)
    return found


def headers(identity: str, sent_s: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """What goes with a body; no signature where there is no key."""
    found = {"webhook-id": identity, "webhook-timestamp": str(sent_s)}
    if keys:
        signed = f"{identity}.{sent_s}.".encode() + body
        found["webhook-signature"] = " ".join(f"v1,{_signature(one, signed)}" for one in keys)
    return found


def _signature(one: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(one, signed, hashlib.sha256)).decode("ascii")
