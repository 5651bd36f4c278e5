"""The page in a real browser."""

import contextlib
import socket
import threading

from bakeoff.dashboard.app import make_server


@contextlib.contextmanager
def served(site):
    """Its address, for as long as the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(site)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()


def open_page(browser, *, language="en", scheme="light", width=1200):
    """A page that fails the test when it complains or asks another machine."""
    context = browser.new_context(
        locale={"en": "en-US", "zh": "zh-CN"}[language],
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    page.set_default_timeout(180_000)  # statistics of a page may wait for a busy machine
    page.complaints = []

    def complain(text):
        page.complaints.append(text)

    page.on("console", lambda m: complain(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complain(str(error)))
    page.expects_questions = False
    page.on(
        "dialog",
        lambda dialog: (
            dialog.accept()
            if page.expects_questions
            else (complain(dialog.message), dialog.dismiss())
        ),
    )
    page.on("requestfailed", lambda request: None)
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith("http://127.0.0.1:") else complain(request.url)
        ),
    )
    return page


def see_all(page):
    """Scroll through, so that every chart is drawn."""
    page.wait_for_load_state("networkidle")
    for y in range(0, page.evaluate("document.body.scrollHeight"), 500):
        page.evaluate(f"window.scrollTo(0, {y})")
        page.wait_for_timeout(50)
    page.wait_for_load_state("networkidle")
