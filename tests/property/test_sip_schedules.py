"""Networks that lose, repeat and reorder, against what both sides have to agree on."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.sip_caller import (
    ANSWER,
    OFFER,
    TLS,
    UDP,
    Caller,
    branch_of,
    sent,
    tag_of,
)
from vault.sip.client_transactions import Came, ClientTransactions, TimedOut
from vault.sip.dialog import Dialog
from vault.sip.matching import TransactionKey
from vault.sip.messages import Request, Response, parse_message, respond
from vault.sip.peers import Outgoing, Peer, Transport
from vault.sip.session_timer import Refresher, SessionTimer
from vault.sip.transactions import NeverAcknowledged, ServerTransactions, What

STATUS = st.sampled_from([200, 202, 401, 486, 488, 503])


@dataclass
class Model:
    """What is allowed to happen to one set of requests, however they arrive."""

    transactions: ServerTransactions = field(default_factory=ServerTransactions)
    now_s: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    finals: dict[str, set[bytes]] = field(default_factory=dict)
    waiting: dict[str, tuple[TransactionKey, Request]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    acknowledged: Counter[str] = field(default_factory=Counter)

    def deliver(self, request: Request) -> None:
        name = f"{request.method} {branch_of(request)}"
        verdict = self.transactions.receive(request, UDP, self.now_s)
        self.note(verdict.send)
        if verdict.what is What.NEW:
            self.calls[name] += 1
            assert verdict.key is not None
            self.waiting[name] = (verdict.key, request)
        elif verdict.what is What.CANCELLED:
            self.cancelled.add(f"INVITE {branch_of(request)}")
        elif verdict.what is What.ACKNOWLEDGED:
            self.acknowledged[str(verdict.key)] += 1

    def answer(self, name: str, status: int) -> None:
        key, request = self.waiting.pop(name)
        response = respond(request, status, body=ANSWER, content_type="application/sdp")
        self.note(self.transactions.answer(key, response, self.now_s))

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        found, _ = self.transactions.due(self.now_s)
        self.note(tuple(one for one in found if isinstance(one, Outgoing)))

    def note(self, found: tuple[Outgoing, ...]) -> None:
        for one in found:
            response = sent(one)
            assert isinstance(response, Response)
            method = response.headers.one("CSeq").split()[1]
            branch = response.headers.one("Via").rpartition("branch=")[2]
            if response.status >= 200:
                self.finals.setdefault(f"{method} {branch}", set()).add(one.message)


def requests_of(call: int) -> list[Request]:
    """Return all that the caller of one short call may send."""
    caller = Caller(call_id=f"call-{call}")
    invite = caller.request("INVITE", body=OFFER)
    return [
        invite,
        caller.cancel(invite),
        caller.ack(invite, to_tag="", branch=branch_of(invite)),
        caller.ack(invite, to_tag=""),
        caller.request("OPTIONS"),
        caller.request("BYE", to_tag="somebody"),
    ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_arrives_how_often_each_request_is_one_call_with_one_answer(
    data: st.DataObject,
) -> None:
    model = Model()
    pool = [request for call in range(3) for request in requests_of(call)]
    schedule = data.draw(
        st.lists(
            st.one_of(
                st.sampled_from(pool),
                st.tuples(st.just("answer"), st.integers(0, 20), STATUS),
                st.floats(0, 1.0),
            ),
            max_size=60,
        )
    )
    budget_s = 25.0
    for step in schedule:
        if isinstance(step, Request):
            model.deliver(step)
        elif isinstance(step, float):
            model.wait(min(step, budget_s))
            budget_s -= min(step, budget_s)
        elif model.waiting:
            names = sorted(model.waiting)
            model.answer(names[step[1] % len(names)], step[2])

    # A CANCEL before its INVITE is refused; the INVITE that comes then is a call, and
    # a copy of the CANCEL behind it ends that after all.
    finals = {name: len(one) for name, one in model.finals.items()}
    assert {1} >= set(model.calls.values())
    assert {1} >= {n for name, n in finals.items() if not name.startswith("CANCEL ")}
    assert {1, 2} >= set(finals.values())
    assert {1} >= set(model.acknowledged.values())
    for name in model.cancelled:
        (final,) = model.finals[name]
        assert final.startswith(b"SIP/2.0 487 ")
    assert all(name in model.finals for name in model.calls.keys() - model.waiting)


@dataclass
class Network:
    """Two sides and what is between them."""

    rng: random.Random
    losses: int
    peer: Peer = UDP
    now_s: float = 0.0
    flying: list[tuple[float, bool, bytes]] = field(default_factory=list)

    def send(self, octets: bytes, *, to_server: bool) -> None:
        """Lose it, or let it arrive once or twice, some time later."""
        if self.losses and self.rng.random() < 0.6:
            self.losses -= 1
            return
        for _ in range(self.rng.choice((1, 1, 1, 2, 7))):
            delay_s = self.rng.choice((0.0, 0.01, 0.3, 1.2))
            self.flying.append((self.now_s + delay_s, to_server, octets))

    def next(self, until_s: float) -> tuple[bool, bytes] | None:
        """Return what arrives next, at its time; None if nothing does before."""
        self.flying.sort(key=lambda one: one[0])
        if not self.flying or self.flying[0][0] > until_s:
            self.now_s = max(self.now_s, until_s)
            return None
        at_s, to_server, octets = self.flying.pop(0)
        self.now_s = max(self.now_s, at_s)
        return to_server, octets


@dataclass
class Call:
    """One request of a caller to a server, both ours, over a bad network."""

    network: Network
    method: str
    status: int
    server: ServerTransactions = field(default_factory=ServerTransactions)
    client: ClientTransactions = field(default_factory=ClientTransactions)
    asked: int = 0
    outcomes: list[object] = field(default_factory=list)
    acknowledged: int = 0
    given_up: int = 0
    dialog: Dialog = field(init=False)
    request: Request = field(init=False)

    def run(self) -> None:
        invite = Caller().request("INVITE", body=OFFER)
        self.dialog = Dialog.of(invite, local_tag="a", contact="<sip:a@h>", peer=UDP)
        self.request = self.dialog.request(self.method)
        _, first = self.client.start(self.request, self.network.peer, 0.0)
        self.network.send(first.message, to_server=True)
        while self.network.now_s < 120:
            due = (self.client.next_due_s, self.server.next_due_s, 120.0)
            arrived = self.network.next(min(one for one in due if one is not None))
            if arrived is None:
                self.tick()
            elif arrived[0]:
                self.at_server(parse_message(arrived[1]))
            else:
                self.at_client(parse_message(arrived[1]))

    def tick(self) -> None:
        now_s = self.network.now_s
        for ours in self.client.due(now_s)[0]:
            if isinstance(ours, TimedOut):
                self.outcomes.append("timed out")
            else:
                self.network.send(ours.message, to_server=True)
        for theirs in self.server.due(now_s)[0]:
            if isinstance(theirs, NeverAcknowledged):
                self.given_up += 1
            else:
                self.network.send(theirs.message, to_server=False)

    def at_server(self, request: Request | Response) -> None:
        assert isinstance(request, Request)
        now_s = self.network.now_s
        verdict = self.server.receive(request, self.network.peer, now_s)
        send = verdict.send
        if verdict.what is What.NEW:
            self.asked += 1
            assert verdict.key is not None
            send = self.server.answer(verdict.key, respond(request, self.status), now_s)
        self.acknowledged += verdict.what is What.ACKNOWLEDGED
        for one in send:
            self.network.send(one.message, to_server=False)

    def at_client(self, response: Request | Response) -> None:
        assert isinstance(response, Response)
        now_s = self.network.now_s
        reply = self.client.receive(response, self.network.peer, now_s)
        send = reply.send
        if reply.what is Came.FINAL:
            self.outcomes.append(response.status)
            if self.method == "INVITE" and response.status < 300:
                ack = self.dialog.acknowledge(self.request)
                tagged = replace(
                    ack,
                    headers=ack.headers.without("To").with_(
                        "To", f"<sip:x@h>;tag={tag_of(response)}"
                    ),
                )
                send = self.client.acknowledge(reply.branch, tagged)
        for one in send:
            self.network.send(one.message, to_server=True)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    # The seventh copy of an INVITE leaves 0.5 s before its caller gives up.
    losses=st.integers(0, 5),
    method=st.sampled_from(["INVITE", "BYE", "UPDATE"]),
    status=STATUS,
)
def test_both_sides_agree_over_a_network_that_loses_a_few(
    seed: int, losses: int, method: str, status: int
) -> None:
    call = Call(Network(random.Random(seed), losses), method, status)
    call.run()

    success = method == "INVITE" and status < 300
    assert (1, [status]) == (call.asked, call.outcomes)
    assert (success, 0) == (bool(call.acknowledged), call.given_up)
    assert call.acknowledged <= 1
    assert (0, 0) == (len(call.server), len(call.client))


@settings(max_examples=250, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    method=st.sampled_from(["INVITE", "BYE"]),
    status=STATUS,
    losses=st.integers(6, 40),
)
def test_over_a_network_that_loses_most_nothing_happens_twice(
    seed: int, method: str, status: int, losses: int
) -> None:
    call = Call(Network(random.Random(seed), losses), method, status)
    call.run()

    assert call.asked <= 1
    assert call.outcomes in ([status], ["timed out"])
    assert call.acknowledged + call.given_up <= 1
    if call.acknowledged:
        assert [status] == call.outcomes
    assert (0, 0) == (len(call.server), len(call.client))


TEXT = st.text(st.characters(codec=None), max_size=20)


@given(
    texts=st.lists(TEXT, min_size=7, max_size=7),
    routes=st.lists(TEXT, max_size=3),
    numbers=st.lists(st.integers(0, 2**32), min_size=6, max_size=6),
    allows_update=st.booleans(),
    refreshed_s=st.floats(allow_nan=False, allow_infinity=False),
    refresher=st.none() | st.sampled_from(list(Refresher)),
    transport=st.sampled_from(list(Transport)),
    octets=st.binary(max_size=40),
)
def test_any_dialog_is_resumed_exactly(
    texts: list[str],
    routes: list[str],
    numbers: list[int],
    allows_update: bool,
    refreshed_s: float,
    refresher: Refresher | None,
    transport: Transport,
    octets: bytes,
) -> None:
    timer = refresher and SessionTimer(interval_s=numbers[0], refresher=refresher)
    dialog = Dialog(
        call_id=texts[0],
        local_tag=texts[1],
        remote_tag=texts[2],
        local_uri=texts[3],
        remote_uri=texts[4],
        remote_target=texts[5],
        local_contact=texts[6],
        route_set=tuple(routes),
        local_cseq=numbers[1],
        remote_cseq=numbers[2],
        peer=replace(
            TLS if octets else UDP,
            transport=transport,
            port=numbers[3],
            connection=numbers[4],
            local=(texts[0], numbers[5]),
            certificate_sha256=octets or None,
        ),
        timer=timer,
        refreshed_s=refreshed_s,
        allows_update=allows_update,
        description=octets,
    )

    assert dialog == Dialog.resumed(dialog.state())
    assert dialog.state() == Dialog.resumed(dialog.state()).state()


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from(["INFO", "UPDATE", "INVITE"]))
    )
)
def test_requests_of_a_dialog_are_taken_in_rising_order_and_once(
    arrivals: list[tuple[int, str]],
) -> None:
    caller = Caller()
    invite = caller.request("INVITE", body=OFFER)
    dialog = Dialog.of(invite, local_tag="ours", contact="<sip:srs@h>", peer=UDP)
    dialog.settle(invite, respond(invite, 200, to_tag="ours"), UDP, 0.0)
    taken: list[tuple[int, str]] = []
    for cseq, method in arrivals:
        request = caller.request(method, cseq=cseq, to_tag="ours", body=OFFER)
        if dialog.take(request) is None:
            taken.append((cseq, method))
            dialog.settle(request, respond(request, 200), UDP, 0.0)

    numbers = [cseq for cseq, _ in taken]
    assert sorted(set(numbers)) == numbers
