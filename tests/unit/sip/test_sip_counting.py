from vault.sip.counting import Refusal, Tally


def test_a_snapshot_stays_what_it_was() -> None:
    tally = Tally()
    tally.request("INVITE")
    tally.response(200)
    tally.refused(Refusal.BUDGET)
    tally.retransmission()
    before = tally.snapshot(connections=1, dialogs=2, transactions=3, cut_off=4)
    tally.request("INVITE")

    assert ({"INVITE": 1}, {200: 1}, {Refusal.BUDGET: 1}, 1) == (
        dict(before.requests),
        dict(before.responses),
        dict(before.refused),
        before.retransmissions,
    )
    assert (1, 2, 3, 4) == (
        before.connections,
        before.dialogs,
        before.transactions,
        before.cut_off,
    )


def test_a_peer_cannot_name_a_label() -> None:
    tally = Tally()
    for method in ("X" * 100, 'INVITE"} 1', "invite"):
        tally.request(method)
    snapshot = tally.snapshot(connections=0, dialogs=0, transactions=0, cut_off=0)

    assert {"other": 3} == dict(snapshot.requests)
