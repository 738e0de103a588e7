import pytest

from vault.core.flow import Direction
from vault.sip.messages import Headers
from vault.siprec.dialects import MAX_ATTRIBUTES, Claims, claims_of
from vault.siprec.metadata import read_metadata

UCID = "00025000160955721139"
"Of 0019001038F725B3."


def claims(
    *elements: str, headers: tuple[tuple[str, str], ...] = (), gtd: bytes = b""
) -> Claims:
    metadata = (
        read_metadata(f"<recording>{''.join(elements)}</recording>".encode())
        if elements
        else None
    )
    return claims_of(Headers(headers), metadata, gtd=gtd)


def extension(namespace: str, inside: str) -> str:
    return f'<extensiondata xmlns:v="{namespace}">{inside}</extensiondata>'


def broadworks(kind: str) -> str:
    return (
        '<extensiondata id="e" parent="s">'
        '<broadWorksRecordingMetadata version="3.0" '
        'xmlns="http://schema.broadsoft.com/broadworksCallRecording">'
        "<extTrackingID>152463:1</extTrackingID>"
        "<serviceProviderID>Provider</serviceProviderID><groupID>Group</groupID>"
        "<userID>user@as.example</userID><callID>callhalf-177:5</callID>"
        f"<callType><{kind}><callingPartyNumber>sip:+12404987661@as.example"
        "</callingPartyNumber><calledPartyNumber>sip:7663@as.example;user=phone"
        f"</calledPartyNumber></{kind}></callType>"
        "<recordingType>on</recordingType></broadWorksRecordingMetadata></extensiondata>"
    )


class TestExtensions:
    @pytest.mark.parametrize(
        ("element", "name", "value"),
        [
            (
                extension(
                    "http:/acmepacket.com/siprec/extensiondata",
                    "<v:ucid>00FA080019001038F725B3;encoding=hex</v:ucid>",
                ),
                "ucid",
                UCID,
            ),
            (
                (
                    '<ac:AvayaUCID xmlns:ac="http://AudioCodes" xmlns="urn:ietf:params:xml:'
                    'ns:Avaya">FA080019001038F725B3</ac:AvayaUCID>'
                ),
                "ucid",
                UCID,
            ),
            (
                '<ac:GenesysUUID xmlns:ac="http://AudioCodes">4BOKLLA3</ac:GenesysUUID>',
                "genesys_call_uuid",
                "4BOKLLA3",
            ),
            (
                (
                    '<callData xmlns="urn:ietf:params:xml:ns:callData"><gcid>241205267</gcid>'
                    "</callData>"
                ),
                "ribbon_gcid",
                "241205267",
            ),
            (
                extension("http://jambonz.org/siprec", "<v:callsid>CA1</v:callsid>"),
                "jambonz_call_sid",
                "CA1",
            ),
            (broadworks("termCall"), "broadworks_call_id", "callhalf-177:5"),
            (
                extension("urn:nobody", "<v:Case-Number>17</v:Case-Number>"),
                "extension_case_number",
                "17",
            ),
        ],
    )
    def test_each_vendor_s_value_has_one_name(
        self, element: str, name: str, value: str
    ) -> None:
        assert claims(element).attributes[name] == value

    def test_the_first_of_two_values_stays(self) -> None:
        found = claims(extension("urn:x", "<v:a>1</v:a><v:a>2</v:a>"))

        assert found.attributes["extension_a"] == "1"

    @pytest.mark.parametrize(
        ("kind", "direction"),
        [("origCall", Direction.OUTBOUND), ("termCall", Direction.INBOUND)],
    )
    def test_broadworks_says_direction_and_sides(
        self, kind: str, direction: Direction
    ) -> None:
        found = claims(broadworks(kind))

        assert (
            direction,
            "sip:+12404987661@as.example",
            "sip:7663@as.example;user=phone",
        ) == (found.direction, found.calling, found.called)

    @pytest.mark.parametrize(
        ("said", "direction"),
        [
            ("inbound", Direction.INBOUND),
            ("Outbound", Direction.OUTBOUND),
            ("sideways", Direction.UNKNOWN),
        ],
    )
    def test_a_direction_is_taken_where_it_is_one(
        self, said: str, direction: Direction
    ) -> None:
        element = extension("urn:x", f"<v:direction>{said}</v:direction>")

        assert claims(element).direction is direction

    def test_oracle_flags_who_called(self) -> None:
        flags = "".join(
            f'<participant id="{name}">'
            + extension(
                "http://acmepacket.com/siprec/extensiondata",
                f"<v:callingParty>{value}</v:callingParty>",
            )
            + "</participant>"
            for name, value in (("a", "false"), ("b", "true"))
        )

        assert claims(flags).calling_party == "b"

    def test_two_callers_are_none(self) -> None:
        flags = "".join(
            f'<participant id="{name}">'
            + extension(
                "http://acmepacket.com", "<v:callingParty>true</v:callingParty>"
            )
            + "</participant>"
            for name in "ab"
        )

        assert claims(flags).calling_party == ""


class TestSessions:
    @pytest.mark.parametrize(
        ("session", "name", "value"),
        [
            ('<session id="00FA080019001038F725B3"/>', "ucid", UCID),
            (
                f"<session><sipSessionID>{'ab' * 16};remote={'cd' * 16}</sipSessionID></session>",
                "session_id",
                f"{'ab' * 16};remote={'cd' * 16}",
            ),
            (
                "<session><sipSessionID>2d8a@192.0.2.9</sipSessionID></session>",
                "call_id",
                "2d8a@192.0.2.9",
            ),
            ('<session id="s"/>', "siprec_session_id", "s"),
            ("<session><group-ref>g</group-ref></session>", "siprec_group_id", "g"),
        ],
    )
    def test_identifiers_of_the_session_have_names(
        self, session: str, name: str, value: str
    ) -> None:
        assert claims(session).attributes[name] == value


class TestHeaders:
    @pytest.mark.parametrize(
        ("header", "said", "name", "value"),
        [
            ("User-to-User", "00FA080019001038F725B3;encoding=hex", "ucid", UCID),
            ("User-to-User", "case 17;purpose=x", "user_to_user", "case 17;purpose=x"),
            ("X-Avaya-UCID", UCID, "ucid", UCID),
            ("X-OCSBC-UCID", "0019001038F725B3", "ucid", UCID),
            (
                "Cisco-Guid",
                "2881195520-0000065536-0000000011-1512058894",
                "cisco_guid",
                "ABBB8E00000100000000000B5A20300E",
            ),
            ("Session-ID", "ab" * 16, "session_id", "ab" * 16),
            ("X-Genesys-CallUUID", "4BOKLLA3", "genesys_call_uuid", "4BOKLLA3"),
            (
                "P-Charging-Vector",
                'icid-value="1234bc";orig-ioi=home1.net',
                "icid",
                "1234bc",
            ),
            ("X-Twilio-CallSid", "CA1", "x_twilio_callsid", "CA1"),
            ("X-Agent_ID", "Zo\udceb", "x_agent_id", "Zoë"),
            ("Call-ID", "1@x", "sip_call_id", "1@x"),
        ],
    )
    def test_each_header_s_value_has_one_name(
        self, header: str, said: str, name: str, value: str
    ) -> None:
        assert claims(headers=((header, said),)).attributes[name] == value

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("X-Auth-Token", "1"),
            ("X-Api-Key", "1"),
            ("X-Password", "1"),
            ("X-Cisco-Recording-Participant", "sip:1@x"),
            ("Cisco-Guid", "1-2-3"),
            ("Cisco-Guid", "9999999999-0-0-0"),
            ("P-Charging-Vector", "nothing"),
            ("Subject", "hello"),
        ],
    )
    def test_secrets_and_nonsense_are_no_attributes(
        self, header: str, said: str
    ) -> None:
        assert not claims(headers=((header, said),)).attributes

    def test_the_metadata_is_believed_before_headers(self) -> None:
        found = claims(
            '<session id="00FA080019001038F725B3"/>', headers=(("X-UCID", "9" * 20),)
        )

        assert found.attributes["ucid"] == UCID

    def test_there_are_never_too_many(self) -> None:
        many = tuple((f"X-{'a' * 99}{number}", "v" * 5_000) for number in range(500))
        more = tuple((f"X-{number}", "v" * 5_000) for number in range(500))

        found = claims(headers=(*many, *more)).attributes

        assert (MAX_ATTRIBUTES, 64, 1_024) == (
            len(found),
            max(map(len, found)),
            max(map(len, found.values())),
        )


class TestPbxId:
    def test_a_cisco_gateway_tells_it_in_a_part_of_its_own(self) -> None:
        found = claims(gtd=b"IAM,\r\nGCI,91036128574411e789f9d0ff56c3c658\r\n")

        assert found.pbx_id == "91036128574411E789F9D0FF56C3C658"

    @pytest.mark.parametrize("gtd", [b"", b"GCI,1", b"XGCI," + b"a" * 32, b"\xff" * 99])
    def test_a_part_without_it_says_nothing(self, gtd: bytes) -> None:
        assert claims(gtd=gtd).pbx_id == ""

    def test_the_best_known_one_is_taken(self) -> None:
        found = claims(
            f'<session id="00FA080019001038F725B3"><sipSessionID>{"ab" * 16};remote='
            f"{'cd' * 16}</sipSessionID></session>",
            headers=(("Cisco-Guid", "1-2-3-4"),),
        )

        assert found.pbx_id == UCID

    def test_of_a_session_id_the_half_that_the_pbx_made(self) -> None:
        found = claims(headers=(("Session-ID", f"{'ab' * 16};remote={'cd' * 16}"),))

        assert found.pbx_id == "ab" * 16


def test_nobody_is_in_a_repr() -> None:
    assert "12404987661" not in repr(claims(broadworks("termCall")))
