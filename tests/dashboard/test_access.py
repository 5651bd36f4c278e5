"""Who is answered: host names, tokens, forged requests, files, sizes."""

import pytest
from tests.dashboard.conftest import client_of, make_site

from bakeoff.dashboard.access import CSRF_HEADER, Access, local_path

TOKEN = "let-me-in"


@pytest.mark.parametrize("host", ["127.0.0.1:8421", "localhost:8421", "[::1]:8421", "LOCALHOST"])
def test_this_machine_s_own_names_are_served(page, host):
    assert page.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8421", "192.168.0.7", ""])
def test_a_foreign_name_is_not(page, host):
    assert page.get("/", headers={"host": host}).status_code == 421


def test_with_a_token_numeric_addresses_are_served_and_names_are_not(standard):
    access = Access(any_address=True, token=TOKEN)
    page = client_of(make_site(standard.runs_dir, access=access))
    assert page.get("/login", headers={"host": "192.168.0.7:8421"}).status_code == 200
    assert page.get("/login", headers={"host": "evil.example"}).status_code == 421


def test_without_the_token_nothing_of_the_store_is_told(standard):
    page = client_of(make_site(standard.runs_dir, access=Access(token=TOKEN)))
    for address in ("/", "/studies/standard", "/fit", "/?token=wrong"):
        answer = page.get(address)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=")
    assert page.post("/new/check", data={"text": ""}).status_code == 401
    assert page.get("/", headers={"hx-request": "true"}).status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_see(standard):
    site = make_site(standard.runs_dir, access=Access(token=TOKEN))
    page = client_of(site)
    answer = page.get(f"/studies/standard?token={TOKEN}&sort=score")
    assert answer.headers["location"] == "/studies/standard?sort=score"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert page.get("/").status_code == 200


def test_the_token_can_be_typed(standard):
    page = client_of(make_site(standard.runs_dir, access=Access(token=TOKEN)))
    wrong = page.post("/login", data={"token": "guess", "next": "/"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
    right = page.post("/login", data={"token": TOKEN, "next": "//evil.example/x"})
    assert (right.status_code, right.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/runs?sort=score", "/runs?sort=score"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/evil.example"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_no_answer_leads_to_another_site(page, wanted, path):
    assert local_path(wanted) == path
    location = page.get("/language/zh", params={"next": wanted}).headers["location"]
    assert location == path


def test_changes_want_the_secret_of_our_own_pages(page):
    text = {"text": "name: x"}
    assert page.post("/new/check", data=text).status_code == 200
    for headers in (
        {CSRF_HEADER: ""},
        {CSRF_HEADER: "guess"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
    ):
        assert page.post("/new/check", data=text, headers=headers).status_code == 403, headers


def test_no_other_site_may_read_the_pages(page):
    headers = page.get("/", headers={"origin": "http://evil.example"}).headers
    assert "access-control-allow-origin" not in headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_another_site_may_lead_here_and_embed_nothing(page):
    foreign = {"sec-fetch-site": "cross-site"}
    for mode, status in (("navigate", 200), ("no-cors", 403), ("cors", 403)):
        answer = page.get("/studies/standard", headers={**foreign, "sec-fetch-mode": mode})
        assert answer.status_code == status, mode


def test_read_only_starts_and_stops_nothing(standard):
    page = client_of(make_site(standard.runs_dir, read_only=True))
    assert page.get("/new").status_code == 404
    for address in ("/new/run", "/studies/standard/resume", "/studies/standard/stop"):
        assert page.post(address, data={"text": "name: x"}).status_code == 403
    assert page.get("/studies/standard").status_code == 200


def test_a_body_that_is_too_large_is_refused(page):
    assert page.post("/new/check", data={"text": "x" * 2_000_000}).status_code == 413
    assert page.post("/new/check", data={"text": "x" * 200_000}).status_code == 422


def test_files_come_from_inside_their_run_only(standard, page):
    run_id = next(record.run_id for record in standard.records if record.scores)
    folder = standard.runs_dir / run_id
    (standard.runs_dir / "secret.txt").write_text("secret", encoding="utf-8")
    link = folder / "link.txt"
    if not link.exists():
        link.symlink_to(standard.runs_dir / "secret.txt")
    answer = page.get(f"/runs/{run_id}/files/samples.jsonl")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    for path in (
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "link.txt",
        "/etc/passwd",
    ):
        assert page.get(f"/runs/{run_id}/files/{path}").status_code == 404, path
    assert "link.txt" not in page.get(f"/runs/{run_id}").text
