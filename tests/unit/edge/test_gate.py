"""The gate in front of an application that says what it was asked."""

import asyncio
import threading
from typing import Any

import httpx
import pytest

from tests.simulators.asgi import client_for
from vault.core.errors import DatabaseUnavailableError
from vault.core.prefixes import AddressLists, Prefixes
from vault.edge.config import EdgeConfig
from vault.edge.gate import Gate, came_by_https
from vault.edge.origin import origin_of


async def says(scope: Any, receive: Any, send: Any) -> None:
    """Answer who asks, by which way, and with how many octets."""
    body = (await receive())["body"]
    text = f"{origin_of(scope)} {came_by_https(scope)} {len(body)}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


def asks(gate: Any, peer: str = "192.0.2.7", **named: Any) -> httpx.Response:
    with client_for(gate, peer=peer) as client:
        client.base_url = httpx.URL("http://vault.test")
        return client.request(named.pop("method", "GET"), "/", **named)


class TestAddresses:
    @pytest.mark.parametrize(
        ("allow", "deny", "peer", "expected"),
        [
            ((), (), "192.0.2.7", 200),
            ((), ("192.0.2.0/24",), "192.0.2.7", 403),
            ((), ("192.0.2.0/24",), "::ffff:192.0.2.7", 403),
            (("192.0.2.0/24",), (), "192.0.2.7", 200),
            (("192.0.2.0/24",), ("192.0.2.7",), "192.0.2.7", 403),
            (("10.0.0.0/8",), (), "192.0.2.7", 403),
            (("10.0.0.0/8",), (), "127.0.0.1", 403),
            ((), ("127.0.0.0/8",), "127.0.0.1", 403),
            ((), ("2001:db8::/32",), "2001:db8::7", 403),
        ],
    )
    def test_the_settings_say_who_may_come(
        self, allow: tuple[str, ...], deny: tuple[str, ...], peer: str, expected: int
    ) -> None:
        gate = Gate(says, EdgeConfig(allow=allow, deny=deny, spares_loopback=True))

        assert expected == asks(gate, peer).status_code

    @pytest.mark.parametrize("spares", [True, False])
    def test_rules_shut_out_this_machine_only_where_they_are_told_to(
        self, spares: bool
    ) -> None:
        config = EdgeConfig(spares_loopback=spares)
        rules = AddressLists(allow=Prefixes.parse(["192.0.2.0/24"]))
        gate = Gate(says, config, rules=lambda: rules)
        found = [
            asks(gate, one).status_code for one in ("192.0.2.7", "::1", "10.1.1.1")
        ]

        assert [200, 200 if spares else 403, 403] == found

    def test_no_rule_lets_in_whom_the_settings_keep_out(self) -> None:
        rules = AddressLists(allow=Prefixes.parse(["192.0.2.7"]))
        gate = Gate(says, EdgeConfig(deny=("192.0.2.0/24",)), rules=lambda: rules)

        assert 403 == asks(gate).status_code

    def test_the_client_of_a_proxy_is_who_is_looked_for(self) -> None:
        config = EdgeConfig(trusted_proxies=("10.0.0.1",), deny=("203.0.113.0/24",))
        gate = Gate(says, config)
        found = [
            asks(gate, "10.0.0.1", headers={"X-Forwarded-For": one}).status_code
            for one in ("203.0.113.9", "198.51.100.9", "nonsense")
        ]

        assert [403, 200, 400] == found


class TestRules:
    def test_they_are_read_again_after_two_seconds_and_not_before(self) -> None:
        now_s, denied = [0.0], [["10.0.0.1"]]
        gate = Gate(
            says,
            EdgeConfig(),
            rules=lambda: AddressLists(deny=Prefixes.parse(denied[0])),
            clock=lambda: now_s[0],
        )
        before = asks(gate).status_code
        denied[0] = ["192.0.2.7"]
        now_s[0] = 2.0
        soon = asks(gate).status_code
        now_s[0] = 2.1

        assert (200, 200, 403) == (before, soon, asks(gate).status_code)

    def test_older_ones_count_while_the_database_is_away(self) -> None:
        now_s, down = [0.0], [False]

        def rules() -> AddressLists:
            if down[0]:
                raise DatabaseUnavailableError("down")
            return AddressLists(deny=Prefixes.parse(["10.0.0.1"]))

        gate = Gate(says, EdgeConfig(), rules=rules, clock=lambda: now_s[0])
        asks(gate)
        now_s[0], down[0] = 100.0, True

        assert (200, 403) == (
            asks(gate).status_code,
            asks(gate, "10.0.0.1").status_code,
        )

    def test_before_they_were_ever_read_nobody_comes_but_who_is_spared(self) -> None:
        def rules() -> AddressLists:
            raise DatabaseUnavailableError("down")

        gate = Gate(says, EdgeConfig(spares_loopback=True), rules=rules)

        assert (503, 200) == (
            asks(gate).status_code,
            asks(gate, "127.0.0.1").status_code,
        )


def test_an_address_and_its_neighbours_of_ipv6_have_one_rate() -> None:
    gate = Gate(says, EdgeConfig(requests_per_minute=2), clock=lambda: 0.0)
    peers = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]
    found = [asks(gate, one) for one in peers]

    assert [200, 200, 429, 200] == [one.status_code for one in found]
    assert "60" == found[2].headers["retry-after"]


def test_a_body_is_there_before_the_application_is_asked() -> None:
    gate = Gate(says, EdgeConfig(max_body_bytes=5))

    assert b"192.0.2.7 False 5" == asks(gate, method="POST", content=b"12345").content
    assert 413 == asks(gate, method="POST", content=b"123456").status_code


class TestDeadline:
    def test_who_waits_too_long_hears_so_and_the_work_is_finished(self) -> None:
        finished = threading.Event()
        told: list[str] = []

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.to_thread(threading.Event().wait, 0.3)
            told.append((await receive())["type"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            finished.set()

        async def ask() -> list[Any]:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            async def receive() -> Any:
                return {"type": "http.request", "body": b"", "more_body": False}

            gate = Gate(slow, EdgeConfig(answer_within_s=0.05))
            scope = {
                "type": "http", "method": "GET", "path": "/", "query_string": b"",
                "headers": [(b"host", b"a")], "client": ("192.0.2.7", 1),
            }  # fmt: skip
            await gate(scope, receive, send)
            await asyncio.to_thread(finished.wait, 10)
            return sent

        sent = asyncio.run(ask())

        assert [503] == [one["status"] for one in sent if "status" in one]
        assert b"answer-timeout" in sent[1]["body"]
        assert (True, ["http.disconnect"]) == (finished.is_set(), told)

    def test_an_answer_that_has_begun_may_take_its_time(self) -> None:
        async def streams(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.sleep(0.2)
            await send({"type": "http.response.body", "body": b"late"})

        gate = Gate(streams, EdgeConfig(answer_within_s=0.05))

        assert b"late" == asks(gate).content

    def test_an_application_that_fails_fails_as_before(self) -> None:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            asks(Gate(broken, EdgeConfig()))
