from structlog.testing import capture_logs

from vault.sip.faults import FAULT, Faults


def raised(text: str) -> Exception:
    try:
        {}[text]
    except LookupError as error:
        return error
    return AssertionError()


def test_a_fault_is_a_line_without_what_the_peer_said_once_a_second() -> None:
    now_s = [10.0]
    faults = Faults(clock=lambda: now_s[0])
    with capture_logs() as lines:
        for _ in range(3):
            faults.note(raised("+49 30 1234567"))
        now_s[0] = 11.0
        faults.note(raised("+49 30 1234567"))

    assert [(FAULT, "KeyError")] * 2 == [
        (line["event"], line["problem"]) for line in lines
    ]
    assert "1234567" not in str(lines)
    assert 4 == faults.count
