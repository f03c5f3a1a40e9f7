"""What an answer says about a component."""

from include.system.endpoints import choose_endpoints
from include.system.health import Answer, Probe, ask, find_problem

PROBE = Probe("http://127.0.0.1:1/health", "dag_processor")
BEAT = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def document(status="healthy", heartbeat="2027-01-15T08:00:00+00:00"):
    return Answer({"dag_processor": {"status": status, "latest_dag_processor_heartbeat": heartbeat}}, None)


def test_a_heartbeat_counts_only_if_it_is_the_process_s_own():
    assert find_problem(PROBE, document(), started_at=BEAT - 1) is None
    assert find_problem(PROBE, document(), started_at=BEAT + 1) == "no heartbeat yet"
    assert find_problem(PROBE, document(heartbeat=None), started_at=BEAT) == "no heartbeat yet"


def test_a_stale_heartbeat_is_a_problem():
    assert "2027-01-15" in find_problem(PROBE, document(status="unhealthy"), started_at=BEAT - 1)


def test_a_component_without_a_section_is_well_if_its_address_answers():
    assert find_problem(Probe("http://127.0.0.1:1/"), Answer({}, None), started_at=0) is None


def test_an_address_that_nothing_listens_on_is_named(settings):
    url = f"{choose_endpoints(settings).airflow_url}/health"
    answer = ask(url)
    assert url in answer.problem
    assert find_problem(PROBE, answer, started_at=0) == answer.problem
