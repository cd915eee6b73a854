"""The command `zhilu`: one entry point for whoever records, serves, provisions or verifies.

Rules:
- A sub-command imports what it needs when it is called: `zhilu verify` must not wait for a web framework.
- An error is one sentence on standard error that says what to do, exit status 1; wrong usage is exit status 2. That holds for errors of
  ours and for what the machine refuses (no such folder, no right to write, no room left); anything else is a mistake of ours and shows
  where it is.
- Where a room has a program of its own (`python -m server`, `verify.pyz`), the sub-command *is* that program: the same options, the same
  help, the same exit status.

What the commands do is their rooms' business; nothing is decided here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

PACKAGES = ("agent", "hal", "provisioning", "server", "simulators")
HERE = Path(__file__).resolve().parent

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for every wrong use of the command line; it gives the class no public name."""


def _group(text: str, example: str) -> typer.Typer:
    """A command that has commands; its help is plain text, like that of the programs behind them."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=text,
        epilog=f"example: {example}",
    )


app = _group("Records what happens on duty, and lets anyone check that nothing of it was cut, changed or thrown away.", "zhilu demo")
server_app = _group("The server: takes in, vouches, keeps, shows.", "zhilu server run --settings deployment/server/settings.toml")
agent_app = _group("The recorder's own program.", "zhilu agent check --settings /var/lib/zhilu/settings.toml")
provision_app = _group("Make deployments and devices.", "zhilu provision ca ./deployment --domain evidence.example.gov")
sim_app = _group("Virtual devices, and stories of a virtual world.", "zhilu sim scenario power-cut-while-recording")
app.add_typer(server_app, name="server")
app.add_typer(agent_app, name="agent")
app.add_typer(provision_app, name="provision")
app.add_typer(sim_app, name="sim")

# Every option goes on to the program behind the command, `--help` too.
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]


def main() -> None:
    """Run the command line."""
    try:
        _check_names()
        sys.exit(app(standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our answer has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"zhilu: {_refused(error)}\n")
        sys.exit(1)
    except USAGE_ERROR as error:
        sys.stderr.write(_usage(error))
        sys.exit(2)
    except Exception as error:
        if not _is_ours(error):
            raise
        sys.stderr.write(f"zhilu: {error}\n")
        sys.exit(getattr(error, "exit_status", 1))


def _refused(error: OSError) -> str:
    """What the machine refused, and where."""
    says = error.strerror or str(error)
    return f"{error.filename}: {says}; name another place, or mend this one" if error.filename else says


def _usage(error: Exception) -> str:
    """One sentence for a wrong use of the command line; the whole help for a command that was named without anything."""
    context = getattr(error, "ctx", None)
    format_message = getattr(error, "format_message", error.__str__)
    says = str(format_message())
    if context is None or says == context.get_help():
        return f"{says}\n"
    return f"{context.command_path}: {says[:1].lower()}{says[1:].rstrip('.')}; see: {context.command_path} --help\n"


def _is_ours(error: Exception) -> bool:
    """Whether it is of one of our error trees, whose messages are written for people."""
    package, _, module = type(error).__module__.partition(".")
    return package in PACKAGES and "errors" in module


def _check_names() -> None:
    """Refuse to run when another package of these generic names would be imported instead of ours."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        place = Path(found.origin).resolve().parent.parent if found and found.origin else None
        if place != HERE:
            sys.exit(
                f"zhilu: expected the package {name!r} in {HERE}, got {place or 'none'}; give Zhilu an environment of its own: make setup"
            )


def _program(module: str, arguments: list[str]) -> None:
    """Be the program of that module: `main(arguments)` returns the exit status."""
    raise typer.Exit(importlib.import_module(module).main(arguments))


def _answer(members: dict[str, object], text: str, as_json: bool) -> None:
    print(json.dumps(members, ensure_ascii=False) if as_json else text)


def _version(asked: bool) -> None:
    if asked:
        print(f"zhilu {importlib.metadata.version('zhilu')}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")] = False,
) -> None:
    """Take the options that stand before a command."""


# ---------------------------------------------------------------------- try, check, hand over


@app.command(context_settings=PASS_ON, help="Server, broker and virtual recorders on this machine.")
def demo(context: typer.Context) -> None:
    """Be simulators.demo."""
    _program("simulators.demo", context.args)


@app.command(context_settings=PASS_ON, help="Check a hand-over package: whole, unchanged, from when.")
def verify(context: typer.Context) -> None:
    """Be the program that verify.pyz is."""
    _program("server.evidence.command", context.args)


@app.command(context_settings=PASS_ON, help="Check a device or a server: is every recording still there.")
def audit(context: typer.Context) -> None:
    """Be server.evidence.audit."""
    _program("server.evidence.audit", context.args)


@app.command(context_settings=PASS_ON, help="Write a recording's hand-over package.")
def export(context: typer.Context) -> None:
    """Be server.evidence.export."""
    _program("server.evidence.export", context.args)


# ---------------------------------------------------------------------- run


@server_app.command("run", context_settings=PASS_ON, help="Run the server of a deployment.")
def server_run(context: typer.Context) -> None:
    """Be `python -m server run`."""
    _program("server.__main__", ["run", *context.args])


@agent_app.command("run", context_settings=PASS_ON, help="Run the recorder's agent.")
def agent_run(context: typer.Context) -> None:
    """Be `python -m agent run`."""
    _program("agent.__main__", ["run", *context.args])


@agent_app.command("check", context_settings=PASS_ON, help="Say what works of the hardware, a line each.")
def agent_check(context: typer.Context) -> None:
    """Be `python -m agent check`."""
    _program("agent.__main__", ["check", *context.args])


@sim_app.command("recorder", context_settings=PASS_ON, help="A virtual recorder with a page to press its buttons on.")
def sim_recorder(context: typer.Context) -> None:
    """Be simulators.recorder."""
    _program("simulators.recorder", context.args)


@sim_app.command("scenario", context_settings=PASS_ON, help="Run written stories: what happens, and what must come of it.")
def sim_scenario(context: typer.Context) -> None:
    """Be simulators.universe.command."""
    _program("simulators.universe.command", ["scenario", *context.args])


@sim_app.command("world", context_settings=PASS_ON, help="Run worlds by chance, each from a seed.")
def sim_world(context: typer.Context) -> None:
    """Be simulators.universe.command."""
    _program("simulators.universe.command", ["world", *context.args])


@sim_app.command("list", context_settings=PASS_ON, help="The stories that ship, and what a story may say.")
def sim_list(context: typer.Context) -> None:
    """Be simulators.universe.command."""
    _program("simulators.universe.command", ["list", *context.args])


# ---------------------------------------------------------------------- provision


@provision_app.command(
    "ca",
    help="Make a deployment: certificate authority, keys, settings of broker and server.",
    epilog="Example: zhilu provision ca ./deployment --domain evidence.example.gov --name recorders.example.gov --listen 0.0.0.0",
)
def provision_ca(
    folder: Annotated[Path, typer.Argument(help="A new folder, or an empty one.")],
    domain: Annotated[str, typer.Option(help="Names every journal and key of this deployment for ever.")],
    name: Annotated[list[str] | None, typer.Option(help="Host name or address at which devices reach server and broker; repeat.")] = None,
    listen: Annotated[str, typer.Option(help="Address that server and broker bind for devices.")] = "127.0.0.1",
    broker_port: Annotated[int, typer.Option(min=1, max=65535)] = 8883,
    device_port: Annotated[int, typer.Option(min=1, max=65535)] = 8443,
    console_port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    as_json: Json = False,
) -> None:
    """Make a deployment."""
    from provisioning import deployment

    made = deployment.create(folder, domain, name or (), listen, deployment.Ports(broker_port, device_port, console_port))
    answer: dict[str, object] = {
        "deployment": str(made.folder),
        "domain": domain,
        "server_settings": str(made.server_settings),
        "broker_settings": str(made.broker_folder / "mosquitto.conf"),
        "keys": str(made.keys_file),
    }
    text = (
        f"{made.folder} is the deployment {domain}.\n"
        f"  broker   mosquitto -c {made.broker_folder / 'mosquitto.conf'}\n"
        f"  server   zhilu server run --settings {made.server_settings}\n"
        f"  devices  zhilu provision device DSJ-0012345 --deployment {folder} --out FOLDER\n"
        f"  keys     {made.keys_file}: publish them; packages are verified with them"
    )
    _answer(answer, text, as_json)


@provision_app.command(
    "device",
    help="Enrol a device: make its state folder and announce it to the server.",
    epilog="Example: zhilu provision device DSJ-0012345 --deployment ./deployment --out ./recorder --settings camera.toml",
)
def provision_device(
    device: Annotated[str, typer.Argument(help="Its id: letters, digits and hyphens, at most 32.")],
    deployment_folder: Annotated[Path, typer.Option("--deployment", help="The deployment's folder.")],
    out: Annotated[Path, typer.Option(help="The device's state folder: new, or empty.")],
    settings: Annotated[
        Path | None, typer.Option(help="TOML that goes over the defaults: the board's drivers, the officer's number …")
    ] = None,
    as_json: Json = False,
) -> None:
    """Enrol a device."""
    from provisioning import deployment, toml
    from provisioning import device as devices

    over = toml.read(settings) if settings else None
    made = devices.enrol(deployment.load(deployment_folder), device, out, over)
    answer: dict[str, object] = {
        "device": device,
        "origin": made.origin,
        "vkey": made.vkey,
        "folder": str(made.folder),
        "settings": str(made.settings),
    }
    text = f"{made.folder} is {made.origin}.\n  Put it on the device, then: zhilu agent run --settings {made.settings}"
    _answer(answer, text, as_json)


@provision_app.command(
    "admit",
    help="Let a device go on in the next journal that it has begun, because the server's copy contradicts the one before.",
    epilog="Example: zhilu provision admit DSJ-0012345 --deployment ./deployment",
)
def provision_admit(
    device: Annotated[str, typer.Argument(help="Its id.")],
    deployment_folder: Annotated[Path, typer.Option("--deployment", help="The deployment's folder.")],
    as_json: Json = False,
) -> None:
    """Announce a device's next journal to the server."""
    from provisioning import deployment
    from provisioning import device as devices

    origin = devices.admit(deployment.load(deployment_folder), device)
    _answer({"device": device, "origin": origin}, f"{origin} is admitted: the server takes it in within seconds.", as_json)


@provision_app.command(
    "revoke",
    help="Lock a lost device out: its certificates count no longer, neither at the server nor at the broker.",
    epilog="Example: zhilu provision revoke DSJ-0012345 --deployment ./deployment",
)
def provision_revoke(
    device: Annotated[str, typer.Argument(help="Its id.")],
    deployment_folder: Annotated[Path, typer.Option("--deployment", help="The deployment's folder.")],
    as_json: Json = False,
) -> None:
    """Revoke a device's certificates."""
    from provisioning import deployment
    from provisioning import device as devices

    made = deployment.load(deployment_folder)
    count = devices.revoke(made, device)
    end_it = f"curl --json '{json.dumps({'reason': 'lost'})}' http://127.0.0.1:{made.ports.console}/api/v1/devices/{device}/revoke"
    text = (
        f"{device}: {count} certificates are revoked.\n"
        "  server   heeds it within seconds\n"
        "  broker   heeds it once it reads its list again: send mosquitto a SIGHUP, or restart it to end a session that runs\n"
        f"  journal  to have nothing of it cosigned any more, end it in the ledger too: {end_it}"
    )
    _answer({"device": device, "revoked": count}, text, as_json)


if __name__ == "__main__":
    main()
