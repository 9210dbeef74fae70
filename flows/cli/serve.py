"""`hitl serve`: the web application."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import say
from flows.wiring import open_world

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only behind a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8090,
    collect: Annotated[
        bool, typer.Option(help="Also collect answers: at once when Label Studio says so.")
    ] = True,
    poll_seconds: Annotated[
        float, typer.Option(min=1.0, help="Between two polls, whatever Label Studio said.")
    ] = 60.0,
) -> None:
    """Serve producers, webhooks, figures and health over HTTP, until Ctrl-C or SIGTERM.

    What is being answered then is answered; exit 0.

    Example: hitl serve --port 8090
    """
    from flows import serve as web

    with open_world() as world:
        listening = web.listen(host, port)
        name, at = listening.getsockname()[:2]
        say(f"serving on http://{f'[{name}]' if ':' in name else name}:{at}; Ctrl-C ends it")
        collector = None
        if collect and world.endpoints.label_studio_url is not None:
            collector = web.collector_of(world, poll_seconds=poll_seconds)
            collector.start()
        try:
            web.run(web.application(world, collector=collector), listening)
        finally:
            if collector is not None:
                collector.stop()
