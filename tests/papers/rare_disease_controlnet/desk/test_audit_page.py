"""The page of the audit log: the newest first, filtered, and whether the log is whole."""

from tests.papers.rare_disease_controlnet.desk.made_up import a_desk, browser  # isort: skip

import pytest
from sqlalchemy import text

from papers.rare_disease_controlnet.desk.audit.log import record
from papers.rare_disease_controlnet.desk.audit.verify import head


@pytest.fixture
def desk(tmp_path):
    return a_desk(tmp_path)


def written(desk, count):
    """Write entries; return the log's head."""
    with desk.write() as session:
        for number in range(count):
            record(session, f"user{number % 2}", "counted", f"number {number}")
        return head(session)


def test_the_page_shows_the_newest_first_by_hundreds(desk):
    newest = written(desk, 150)
    admin = browser(desk, "root", "admin")
    page = admin.get("/audit").text
    assert "none of 150 entries was changed" in page
    assert newest.sha256 in page
    assert page.index("number 149<") < page.index("number 50<")
    assert "number 49<" not in page
    older = admin.get("/audit", params={"before": 51}).text
    assert "number 49<" in older
    assert "number 0<" in older
    assert "The chain is whole" not in older  # it was not checked
    assert "Older entries" in page
    assert "Older entries" not in older


def test_the_page_filters_by_what_is_in_the_log(desk):
    written(desk, 4)
    with desk.write() as session:
        record(session, "user1", "set closed", "set 7", {"films": 120})
    admin = browser(desk, "root", "admin")
    page = admin.get("/audit", params={"actor": "user1", "action": "counted"}).text
    assert [f"number {number}<" in page for number in range(4)] == [False, True, False, True]
    assert "set 7" not in page
    assert "films:</span> 120" in admin.get("/audit", params={"action": "set closed"}).text
    for wrong in ({"actor": "' OR 1=1"}, {"action": "x"}, {"before": "0"}, {"before": "x"}):
        assert admin.get("/audit", params=wrong).status_code == 422


def test_the_page_says_what_was_changed(desk):
    written(desk, 9)
    with desk.write() as session:
        session.execute(text("DROP TRIGGER audit_log_no_UPDATE"))
        session.execute(text("UPDATE audit_log SET detail = 'no JSON <b>' WHERE id > 2"))
    page = browser(desk, "root", "admin").get("/audit").text
    assert "The log was changed" in page
    assert page.count("was changed</li>") == 5
    assert "and 2 more" in page
    assert "no JSON &lt;b&gt;" in page


def test_the_page_is_for_admins(desk):
    assert browser(desk).get("/audit").status_code == 303
    for role in ("reviewer", "researcher"):
        assert browser(desk, role=role).get("/audit").status_code == 403
