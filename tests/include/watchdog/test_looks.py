"""What is told when: enough looks, and never twice, whatever the looks see."""

from hypothesis import given
from hypothesis import strategies as st

from include.alerts.incidents import Incident
from include.watchdog.findings import Findings, Sighting, judge_kinds, run_checks
from include.watchdog.looks import Looks, recall_looks, remember_looks

KEY = "scheduler_down/scheduler"
INCIDENT = Incident(key=KEY, kind="scheduler_down", summary="down")


class Told:
    """Looks, and an incident that is open once it was told."""

    def __init__(self, *, looks, wells):
        self.needed, self.looks = looks, Looks(wells=wells)
        self.open, self.news = frozenset(), []

    def see(self, wrong):
        sightings = [Sighting(INCIDENT, self.needed)] if wrong else []
        findings = judge_kinds({"scheduler_down"}, sightings, self.looks.known_keys(self.open))
        news = self.looks.take(findings, self.open)
        if news.incidents and not self.open:
            self.open = frozenset({KEY})
            self.news.append("down")
        if news.recovered:
            self.open = frozenset()
            self.news.append("well")


def tell(seen, *, looks=3, wells=2):
    told = Told(looks=looks, wells=wells)
    for each in seen:
        told.see(each == "x")
    return told.news


def test_what_was_seen_often_enough_is_told_and_so_is_its_end():
    assert tell("xx..") == []
    assert tell("x.x.x") == ["down"]
    assert tell("xxx.x.x") == ["down"]
    assert tell("xxx..") == ["down", "well"]
    assert tell("xxx..xxx") == ["down", "well", "down"]


def test_one_look_is_enough_for_what_must_be_told_at_once():
    assert tell("x.", looks=1, wells=1) == ["down", "well"]


def test_an_incident_that_another_process_opened_recovers_after_as_many_looks():
    looks, findings = Looks(wells=3), Findings(healed=frozenset({KEY}))
    assert [bool(looks.take(findings, {KEY}).recovered) for _ in range(3)] == [False, False, True]
    assert looks.seen == {}


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_news_takes_turns_and_a_long_enough_row_of_either_decides(seen, looks, wells):
    told = Told(looks=looks, wells=wells)
    for each in seen:
        told.see(each)
    assert told.news == ["down", "well"] * (len(told.news) // 2) + ["down"] * (len(told.news) % 2)
    for _ in range(5):
        told.see(True)
    assert told.open
    for _ in range(5):
        told.see(False)
    assert not told.open
    assert told.looks.seen == {}


def test_what_was_not_looked_at_stays_as_it_is():
    told = Told(looks=1, wells=1)
    told.see(True)
    assert told.looks.take(Findings(), told.open).recovered == ()
    assert told.looks.seen == {KEY: [True]}


def test_a_check_heals_its_own_kinds_alone():
    found = judge_kinds({"scheduler_down"}, [], {KEY, "mlflow_down/mlflow"})
    assert found.healed == {KEY}


def test_a_check_that_fails_hides_no_other():
    good = Findings((Sighting(INCIDENT),))

    def fail():
        raise KeyError("dag_runs")

    found, unread = run_checks({"first": fail, "second": lambda: good})
    assert found == good
    assert unread == {"first": "KeyError: 'dag_runs'"}


def test_looks_are_remembered_between_processes(settings):
    remember_looks(settings, Looks(seen={KEY: [True, False]}))
    assert recall_looks(settings).seen == {KEY: [True, False]}


def test_a_memory_that_makes_no_sense_is_none(settings):
    assert recall_looks(settings).seen == {}
    for text in ("", "[]", '{"a": 1}', "null"):
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        (settings.run_dir / "watch_system.json").write_text(text)
        assert recall_looks(settings).seen == {}
