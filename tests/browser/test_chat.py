"""The chat page as several people meet it, each in a window (and a browser profile) of their own."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.browser.conftest import PATIENCE, VIEWS, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

expect.set_options(timeout=PATIENCE)

ROOT = Path(__file__).parents[2]
CHAT = "/websocketdemo/"
SAY_MANY = """([path, texts]) => {
    const socket = new WebSocket(new URL(path, location.href.replace("http", "ws")));
    socket.onopen = () => texts.forEach((message) => socket.send(JSON.stringify({ message })));
}"""
SAID = re.compile('"type":"(message|ack)"')
rooms = (f"room-{number}" for number in count(1))

Windows = Callable[..., list[Page]]


@pytest.fixture
def room() -> str:
    """A room in which nobody has been: the service lives as long as all tests."""
    return next(rooms)


@pytest.fixture
def windows(visitor: Visitor, room: str) -> Iterator[Windows]:
    """Opens a window for each name, all in the room."""
    with ExitStack() as stack:

        def open_windows(*names: str, view: str = "desktop") -> list[Page]:
            pages = [stack.enter_context(visitor.visit(f"{CHAT}#{room}", view)) for _ in names]
            for page, name in zip(pages, names, strict=True):
                come_in(page, name)
            return pages

        yield open_windows


def come_in(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()


def say(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def room_line(page: Page, name: str) -> Locator:
    return page.locator("#room-list li").filter(has=page.get_by_text(name, exact=True))


def show_room(page: Page, name: str) -> None:
    room_line(page, name).locator(".item").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def join_room(page: Page, name: str) -> None:
    page.get_by_label("Name of a room").fill(name)
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator("#people-list .item")).not_to_have_count(0)


def messages(page: Page) -> Locator:
    """The texts of all messages in the room that is shown."""
    return page.locator("#log .text")


def line(page: Page, text: str) -> Locator:
    return page.get_by_role("article").filter(has_text=text)


def person(page: Page, name: str) -> Locator:
    return page.locator("#people-list").get_by_role("button", name=name)


def forgive(visitor: Visitor, text: str) -> None:
    """Let pass what the browser itself says about a failure that the test wanted."""
    visitor.problems[:] = [problem for problem in visitor.problems if text not in problem]


def test_everybody_sees_a_broadcast(windows: Windows) -> None:
    pages = windows("User1", "User2", "User3")
    expect(pages[0].get_by_text("User3 came in")).to_be_visible()
    say(pages[0], "hi, all of you")
    for page in pages:
        expect(messages(page)).to_have_text(["hi, all of you"])
        expect(page.locator("#online")).to_have_text("3 online")
    expect(line(pages[0], "hi, all of you")).to_have_class(re.compile(r"\bown\b"))
    expect(line(pages[0], "hi, all of you").get_by_text("delivered")).to_be_attached()
    expect(line(pages[1], "hi, all of you").get_by_text("User1")).to_be_visible()


def test_private_message_reaches_one_and_its_sender(windows: Windows) -> None:
    one, two, three = windows("User1", "User2", "User3")
    person(one, "User2").click()
    expect(one.get_by_text("To User2")).to_be_visible()
    say(one, "psst")
    expect(line(two, "psst")).to_contain_text("private, to you")
    expect(line(one, "psst")).to_contain_text("private, to User2")
    expect(line(one, "psst").get_by_text("delivered")).to_be_attached()

    two.get_by_role("button", name="Reply privately").click()
    say(two, "what is it?")
    expect(messages(one)).to_have_text(["psst", "what is it?"])

    one.locator("#text").press("Escape")
    say(one, "that was between us")
    expect(messages(three)).to_have_text(["that was between us"])


def test_private_messages_outlive_a_reload(windows: Windows) -> None:
    one, two = windows("User1", "User2")
    person(one, "User2").click()
    say(one, "psst")
    expect(messages(two)).to_have_text(["psst"])
    say(two, "aloud")
    for page in (one, two):
        expect(messages(page)).to_have_text(["psst", "aloud"])
        page.reload()
        expect(messages(page)).to_have_text(["psst", "aloud"])


def test_private_message_to_somebody_who_left_says_so(windows: Windows) -> None:
    one, two = windows("User1", "User2")
    person(one, "User2").click()
    two.close()
    expect(one.get_by_text("User2 left")).to_be_visible()
    say(one, "are you there?")
    expect(one.get_by_role("alert").filter(has_text="Not sent.")).to_contain_text("Nobody of this name is connected")
    line(one, "are you there?").get_by_role("button", name="Send again").click()
    expect(messages(one)).to_have_text(["are you there?"])


def test_closing_a_window_tells_the_others(windows: Windows) -> None:
    one, two, three = windows("User1", "User2", "User3")
    expect(person(one, "User3")).to_be_visible()
    three.close()
    for page in (one, two):
        expect(page.get_by_text("User3 left")).to_be_visible()
        expect(person(page, "User3")).to_have_count(0)
        expect(page.locator("#online")).to_have_text("2 online")


def test_reload_goes_on_where_it_was(windows: Windows) -> None:
    one, two = windows("User1", "User2")
    say(one, "first")
    say(two, "second")
    expect(messages(one)).to_have_text(["first", "second"])
    one.locator("#text").fill("half a sentence")
    one.reload()
    expect(one.get_by_text("Connected", exact=True)).to_be_visible()
    expect(messages(one)).to_have_text(["first", "second"])
    expect(one.locator("#text")).to_have_value("half a sentence")
    say(two, "third")
    expect(messages(one)).to_have_text(["first", "second", "third"])
    expect(two.get_by_text("User1 left")).to_have_count(0)


def test_windows_of_one_browser_may_have_names_of_their_own(windows: Windows, room: str) -> None:
    (one,) = windows("User1")
    two = one.context.new_page()
    two.goto(f"{CHAT}#{room}")
    expect(two.get_by_label("Your name")).to_have_value("User1")
    come_in(two, "User2")
    for page, name in ((one, "User1"), (two, "User2")):
        page.reload()
        say(page, f"I am {name}")
        expect(line(page, f"I am {name}")).to_have_class(re.compile(r"\bown\b"))
    expect(messages(one)).to_have_text(["I am User1", "I am User2"])


def test_taken_name_is_refused_with_a_sentence(windows: Windows, visitor: Visitor, room: str) -> None:
    windows("User1")
    with visitor.visit(f"{CHAT}#{room}") as page:
        page.get_by_label("Your name").fill("User1")
        page.get_by_role("button", name="Come in").click()
        expect(page.get_by_role("alert")).to_have_text("This name is taken; choose another one.")
        page.get_by_label("Your name").fill("two words")
        page.get_by_role("button", name="Come in").click()
        expect(page.get_by_role("alert")).to_contain_text("A name has 1 to 32 letters")
        come_in(page, "用户2")


def test_unread_messages_are_counted_in_the_other_room(windows: Windows, room: str) -> None:
    one, two = windows("User1", "User2")
    join_room(one, f"{room}-b")
    for text in ("one", "two"):
        say(two, text)
    expect(room_line(one, room).get_by_text("2 unread messages")).to_be_attached()
    expect(one).to_have_title(f"(2) {room}-b · myFastAPI")

    show_room(one, room)
    expect(messages(one)).to_have_text(["one", "two"])
    expect(one.get_by_text("New", exact=True)).to_be_visible()
    expect(one).to_have_title(f"{room} · myFastAPI")
    one.go_back()
    expect(one.get_by_role("heading", level=1)).to_have_text(f"{room}-b")


def test_room_can_be_left(windows: Windows, room: str) -> None:
    one, two = windows("User1", "User2")
    join_room(one, f"{room}-b")
    one.get_by_role("button", name=f"Leave the room {room}", exact=True).click()
    expect(two.get_by_text("User1 left")).to_be_visible()
    one.get_by_role("button", name="Leave the chat").click()
    expect(one.get_by_label("Your name")).to_have_value("User1")


def test_what_is_written_offline_arrives_once(windows: Windows, visitor: Visitor) -> None:
    one, two = windows("User1", "User2")
    one.context.set_offline(True)
    expect(one.get_by_text("Not connected", exact=True)).to_be_visible()
    for text in ("written", "while", "offline"):
        say(one, text)
    expect(line(one, "written").get_by_text("sending")).to_be_attached()
    say(two, "meanwhile")
    expect(messages(two)).to_have_text(["meanwhile"])

    one.context.set_offline(False)
    for page in (one, two):
        expect(messages(page)).to_have_text(["meanwhile", "written", "while", "offline"])
    expect(one.get_by_text("Connected", exact=True)).to_be_visible()
    expect(one.get_by_text("sending")).to_have_count(0)
    one.reload()
    expect(messages(one)).to_have_text(["meanwhile", "written", "while", "offline"])
    forgive(visitor, "ERR_INTERNET_DISCONNECTED")


def test_message_whose_confirmation_is_lost_is_not_sent_twice(visitor: Visitor, windows: Windows, room: str) -> None:
    (two,) = windows("User2")
    with visitor.visit(f"{CHAT}#{room}") as one:
        sockets: list[WebSocketRoute] = []

        def keep_back(route: WebSocketRoute) -> None:
            """The first socket hears that it is in, and nothing of what is said."""
            server = route.connect_to_server()
            sockets.append(route)
            if len(sockets) == 1:
                server.on_message(lambda frame: None if SAID.search(str(frame)) else route.send(frame))

        one.route_web_socket(re.compile("/websocketdemo/ws/"), keep_back)
        come_in(one, "User1")
        say(one, "once")
        expect(messages(two)).to_have_text(["once"])
        expect(line(one, "once").get_by_text("sending")).to_be_attached()

        sockets[0].close(code=1012, reason="restart")
        expect(line(one, "once").get_by_text("delivered")).to_be_attached()
        say(one, "afterwards")
        for page in (one, two):
            expect(messages(page)).to_have_text(["once", "afterwards"])


def test_older_messages_are_loaded_when_looked_for(windows: Windows, room: str) -> None:
    one, two = windows("User1", "User2")
    texts = [f"message {number:02}." for number in range(70)]  # the time comes right behind it
    one.evaluate(SAY_MANY, [f"{CHAT}ws/{room}/User1", texts])
    expect(messages(two)).to_have_text(texts)
    two.reload()
    expect(messages(two)).to_have_text(texts[20:])
    two.locator("#log").focus()
    two.keyboard.press("Home")
    expect(messages(two)).to_have_text(texts)
    expect(line(two, texts[20])).to_be_in_viewport()

    say(one, "the newest")
    two.get_by_role("button", name="1 new message").click()
    expect(line(two, "the newest")).to_be_in_viewport()


def test_markup_stays_text(windows: Windows) -> None:
    one, two = windows("User1", "User2")
    text = "<img src=x onerror=alert(1)> <b>bold</b> & {root}"
    say(one, text)
    expect(messages(two)).to_have_text([text])


def test_too_long_message_is_kept_and_not_sent(windows: Windows) -> None:
    (page,) = windows("User1")
    say(page, "字" * 4_001)
    expect(page.get_by_text("1 character too many")).to_be_visible()
    expect(page.locator("#text")).to_have_value("字" * 4_001)
    say(page, "字" * 4_000)
    expect(line(page, "字").get_by_text("delivered")).to_be_attached()


def test_chinese_is_a_click_away_and_remembered(windows: Windows) -> None:
    one, two = windows("User1", "User2")
    say(two, "hello")
    one.get_by_role("button", name="中文").click()
    expect(one.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(one.get_by_text("已连接", exact=True)).to_be_visible()
    expect(one.get_by_text("User2 进入聊天")).to_be_visible()
    expect(messages(one)).to_have_text(["hello"])
    one.reload()
    expect(one.get_by_text("已连接", exact=True)).to_be_visible()
    one.get_by_role("button", name="English").click()
    expect(one.locator("html")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_the_window(windows: Windows, view: str) -> None:
    (page,) = windows("User1", view=view)
    say(page, "https://example.org/" + "without-a-place-to-break/" * 20)
    say(page, "w" * 400)
    expect(page.get_by_text("sending")).to_have_count(0)
    widest = "[document.documentElement, ...document.querySelectorAll('.chat *')].map(node => node.scrollWidth)"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator("#log").evaluate("log => log.scrollWidth - log.clientWidth") <= 0
    assert max(page.evaluate(widest)) <= VIEWS[view][0]


def test_phone_has_rooms_and_people_in_drawers(windows: Windows) -> None:
    (two,) = windows("User2")
    (one,) = windows("User1", view="phone")
    expect(one.locator("#rooms")).to_be_hidden()
    one.get_by_role("button", name="People").click()
    person(one, "User2").click()
    expect(one.locator("#people")).to_be_hidden()
    say(one, "from the phone")
    expect(line(two, "from the phone")).to_contain_text("private, to you")
    one.get_by_role("button", name="Rooms").click()
    expect(one.get_by_label("Name of a room")).to_be_visible()
    one.keyboard.press("Escape")
    expect(one.locator("#rooms")).to_be_hidden()


def test_keyboard_is_enough(visitor: Visitor, windows: Windows, room: str) -> None:
    (two,) = windows("User2")
    with visitor.visit(f"{CHAT}#{room}") as one:
        keys = one.keyboard
        keys.type("User1")
        keys.press("Enter")
        expect(one.locator("#text")).to_be_focused()
        keys.type("two")
        keys.press("Shift+Enter")
        keys.type("lines")
        keys.press("Enter")
        expect(messages(two)).to_have_text(["two\nlines"], use_inner_text=True)

        expect(person(one, "User2")).to_be_visible()
        for _ in range(2):  # past the button that sends
            keys.press("Tab")
        expect(person(one, "User2")).to_be_focused()
        keys.press("Enter")
        expect(one.locator("#text")).to_be_focused()
        keys.type("psst")
        keys.press("Enter")
        expect(line(two, "psst")).to_contain_text("private, to you")
        keys.press("Escape")
        expect(one.get_by_text("To User2", exact=True)).to_be_hidden()


def test_state_and_messages_are_announced(windows: Windows, room: str) -> None:
    (page,) = windows("User1")
    log = page.get_by_role("log", name=f"Messages in {room}")
    expect(log).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    expect(page.get_by_role("textbox", name=f"Write to everybody in {room}")).to_be_focused()


def test_token_says_the_name(windows: Windows, visitor: Visitor, room: str) -> None:
    (two,) = windows("User2")
    tokens = Tokens(TestingSettings().secret_key.get_secret_value())
    with visitor.visit(f"{CHAT}#{room}") as page:
        page.get_by_text("I have an access token").click()
        page.get_by_label("Access token").fill(tokens.sign(f"owner-of-{room}", frozenset(), minutes=5))
        come_in(page, "somebody")
        say(page, "with a token")
        expect(line(two, "with a token")).to_contain_text(f"owner-of-{room}")


def test_bad_token_is_refused_with_a_sentence(visitor: Visitor, room: str) -> None:
    with visitor.visit(f"{CHAT}#{room}") as page:
        page.get_by_text("I have an access token").click()
        page.get_by_label("Access token").fill("not-a-token")
        page.get_by_label("Your name").fill("User1")
        page.get_by_role("button", name="Come in").click()
        expect(page.get_by_role("alert")).to_have_text("The access token is not valid.")
    forgive(visitor, "401")


def test_session_is_over_with_its_token_and_goes_on_with_a_new_one(
    visitor: Visitor, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visitor is put out of all rooms, and back in them after."""
    ends: list[Callable[[], object]] = []

    @contextmanager
    def ends_when_asked(_: float, end: Callable[[], None]) -> Iterator[None]:
        ends.append(partial(asyncio.get_running_loop().call_soon_threadsafe, end))
        yield

    monkeypatch.setattr("api.websocketdemo.chat.ends_at", ends_when_asked)
    tokens, name = Tokens(TestingSettings().secret_key.get_secret_value()), f"owner-of-{room}"
    with visitor.visit(f"{CHAT}#{room}") as page:
        page.get_by_text("I have an access token").click()
        page.get_by_label("Access token").fill(tokens.sign(name, frozenset(), minutes=5))
        come_in(page, "somebody")
        say(page, "before")
        expect(page.get_by_text("delivered")).to_have_count(1)
        join_room(page, f"{room}-too")
        ends[0]()
        expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
            "Your session is over: its access token is no longer valid. With a new one you go on where you were."
        )
        token = page.get_by_label("Access token")
        expect(token).to_be_focused()
        token.press_sequentially(tokens.sign(name, frozenset(), minutes=6))
        page.get_by_role("button", name="Come in").click()
        expect(page.get_by_text("Connected", exact=True)).to_be_visible()
        show_room(page, room)
        expect(messages(page)).to_have_text(["before"])
        say(page, "after")
        expect(line(page, "after").get_by_text("delivered")).to_be_attached()
        expect(messages(page)).to_have_text(["before", "after"])


class Service:
    """The service as its users run it: a process of its own, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._environment = os.environ | {
            "APP_ENV": "development",
            "APP_PROJECTS": "websocketdemo",
            "APP_DATABASE_URL": f"sqlite+aiosqlite:///{(folder / 'chat.db').as_posix()}",
            "APP_PORT": str(port),
            "APP_LOG_DIR": "",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "main.py", "serve"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=subprocess.DEVNULL)
        transport = httpx.HTTPTransport(retries=10)  # with growing pauses: it needs a moment until it listens
        with httpx.Client(transport=transport, base_url=self.address) as client:
            assert client.get("/healthz").status_code == 200

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def forget(self) -> None:
        """Lose the database, while the service is stopped."""
        for file in self._folder.glob("chat.db*"):
            file.unlink()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    service.start()
    yield service
    service.stop()


@contextmanager
def window(chromium: Browser, address: str) -> Iterator[Page]:
    """A window in which the browser may complain: it does when the service is away."""
    context = chromium.new_context(base_url=address, service_workers="block")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(CHAT)
    yield page
    context.close()


@pytest.mark.slow
def test_restart_of_the_service_loses_nothing(chromium: Browser, service: Service) -> None:
    with window(chromium, service.address) as one, window(chromium, service.address) as two:
        come_in(one, "User1")
        come_in(two, "User2")
        say(one, "before")
        expect(messages(two)).to_have_text(["before"])

        service.stop()
        for page in (one, two):
            expect(page.get_by_text("Not connected", exact=True)).to_be_visible()
        say(one, "while it is away")
        say(two, "indeed")
        expect(line(one, "while it is away").get_by_text("sending")).to_be_attached()

        service.start()
        for page in (one, two):
            expect(page.get_by_text("Connected", exact=True)).to_be_visible()
            expect(messages(page)).to_have_count(3)
            expect(page.get_by_text("sending")).to_have_count(0)
        texts = messages(one).all_text_contents()
        assert texts[0] == "before"
        assert sorted(texts[1:]) == ["indeed", "while it is away"]
        expect(messages(two)).to_have_text(texts)
        expect(person(two, "User1")).to_be_visible()


@pytest.mark.slow
def test_other_history_is_told_and_nothing_written_is_lost(chromium: Browser, service: Service) -> None:
    with window(chromium, service.address) as page:
        come_in(page, "User1")
        for text in ("one", "two"):
            say(page, text)
        expect(page.get_by_text("delivered")).to_have_count(2)

        service.stop()
        expect(page.get_by_text("Not connected", exact=True)).to_be_visible()
        say(page, "three")
        service.forget()
        service.start()
        expect(page.get_by_text("You were away for long.")).to_be_visible()
        expect(messages(page)).to_have_text(["three"])
        expect(page.get_by_text("delivered")).to_have_count(1)
