"""The first published schema: the base that later revisions start from.

A fresh database is created whole, from ``schema.sql`` at the newest revision, and is stamped with it. No
database is older than this one, so there is nothing to do on the way to it.
"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing is older than this revision."""
