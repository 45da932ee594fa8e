"""``sluice health``: is the service alive? Answered by the exit code, for containers and supervisors."""

from __future__ import annotations

import typer

from mediasluice.cli.errors import FAILED, OK, complain
from mediasluice.cli.options import Call, Command
from mediasluice.cli.output import json_line, say
from mediasluice.cli.places import data_of
from mediasluice.errors import Unavailable

app = typer.Typer(add_completion=False)

ANSWER_S = 0.7
"""Chosen: together with the start of this program an answer takes less than a second."""


@app.command(cls=Command)
def health(ctx: typer.Context) -> int:
    """Tell by the exit code whether the service is alive: 0 alive, 1 not."""
    from mediasluice.service.control import ask_once

    call: Call = ctx.obj
    try:
        answer = ask_once(data_of(call), "health", timeout_s=ANSWER_S)
    except Unavailable as error:
        answer = {"ok": False, "error": error.message}
    if call.json:
        json_line(answer)
    elif not answer["ok"]:
        complain(
            answer.get("error") or answer.get("reason") or "the service is not well",
            hint="see: sluice status",
        )
    elif not call.quiet:
        say("alive")
    return OK if answer["ok"] else FAILED
