"""Whether the supervisor that wrote a state still lives."""

from dataclasses import replace

import psutil

from include.system.state import supervisor_of
from tests.include.watchdog.scenes import make_state


def test_a_process_is_known_by_its_id_and_when_it_was_created():
    state = make_state("http://127.0.0.1:1")
    assert supervisor_of(state).pid == state.supervisor_pid
    assert supervisor_of(replace(state, supervisor_created=state.supervisor_created - 1)) is None


def test_a_clock_that_is_set_makes_no_other_process_of_it(monkeypatch):
    state = make_state("http://127.0.0.1:1")
    step_s, create_time, boot_time = 90.0, psutil.Process.create_time, psutil.boot_time
    # As on Linux: the kernel reckons both from the clock as it is now.
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + step_s)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + step_s)
    assert supervisor_of(state) is not None
