"""Run a supervisor over stand-ins: drive.py HOME SETUP PORT...; SETUP is the exit code of the command before them."""

import os
import sys
from pathlib import Path

from include.errors import ClosecastError
from include.settings import Settings
from include.system.components import Component, Setup
from include.system.health import Probe
from include.system.state import prepare_home
from include.system.supervisor import Plan, Supervisor, hold_lock

STAND_IN = str(Path(__file__).with_name("stand_in.py"))


def _component(settings, index, port):
    argv = (sys.executable, STAND_IN, port, str(settings.home / f"broken-{index}"))
    return Component(f"stand-in-{index}", argv, Probe(f"http://127.0.0.1:{port}/"), stage=index, waits_for_setup=True)


if __name__ == "__main__":
    settings = Settings(home=Path(sys.argv[1]), _env_file=None)
    code, ports = sys.argv[2], sys.argv[3:]
    components = tuple(_component(settings, index, port) for index, port in enumerate(ports))
    setup = Setup("setup", (sys.executable, "-c", f"print('set up'); raise SystemExit({code})"))
    plan = Plan(components, dict(os.environ), "http://127.0.0.1:1", "http://127.0.0.1:2", setup)
    prepare_home(settings)
    try:
        with hold_lock(settings.run_dir):
            Supervisor(settings.run_dir, plan, lambda event: print(event, flush=True)).run()
    except ClosecastError as error:
        sys.exit(str(error))
