"""Second factors in both databases: each code, challenge and counter counts once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pyotp
import pytest
from sqlalchemy import Engine, select, update

from tests.simulators.passkey_device import PRESENT, VERIFIED, PasskeyDevice
from vault.access.authenticators import Verified
from vault.access.ceremonies import Ceremonies, CeremonyKind
from vault.access.factor_key import FactorKey
from vault.access.factor_proofs import FactorProofs
from vault.access.factor_rows import FactorChange, Tell
from vault.access.factors import Factors
from vault.access.held_factors import FactorsCounted
from vault.access.local import LocalPeople
from vault.access.passkeys import PasskeyBegun, PasskeyUsed
from vault.access.passwords import Passwords
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person, SessionKind
from vault.access.provisioning import Accounts
from vault.access.sessions import Sessions
from vault.access.signin import REFUSED, SignIn, SignInConfig
from vault.access.tables import (
    CEREMONY,
    PASSKEY,
    RECOVERY_CODE,
    SIGN_IN_ATTEMPT,
    TOTP,
)
from vault.access.throttle import Throttle
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    FactorRefusedError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    SecondFactorRequiredError,
    ThrottledError,
)
from vault.core.secrets import SecretBytes
from vault.database.engine import reading, transaction

RIGHT = "correct horse battery"
HOST = "vault.example"
ORIGIN = f"https://{HOST}"
PEER = "192.0.2.1"
STEP_S = 30


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


NewPerson = Callable[..., Person]


@pytest.fixture
def new_person(catalog_engine: Engine, passwords: Passwords) -> NewPerson:
    people = People(catalog_engine)

    def add(name: str, *roles: Role) -> Person:
        return people.add(name, roles, [], passwords.hash(RIGHT)).person

    return add


@pytest.fixture
def alice(new_person: NewPerson) -> Person:
    return new_person("alice", Role.SUPERVISOR)


@pytest.fixture
def bob(new_person: NewPerson) -> Person:
    return new_person("bob", Role.OFFICER)


@pytest.fixture
def factors(catalog_engine: Engine, clock: Clock) -> Factors:
    return Factors(
        catalog_engine,
        key=FactorKey(SecretBytes(b"k" * 32)),
        origins=[ORIGIN, "http://localhost:8080", "https://192.0.2.9"],
        required_of=[Role.OFFICER],
        clock=clock,
    )


@pytest.fixture
def sign_in(
    catalog_engine: Engine, passwords: Passwords, factors: Factors, clock: Clock
) -> SignIn:
    return SignIn(
        catalog_engine,
        authenticators=[LocalPeople(catalog_engine, passwords)],
        accounts=Accounts(catalog_engine, tell=lambda _: None),
        throttle=Throttle(catalog_engine, clock=clock),
        sessions=Sessions(catalog_engine, clock=clock),
        factors=factors,
        config=SignInConfig(second_factor_roles=frozenset({Role.OFFICER})),
    )


def untold(_: FactorChange) -> None:
    """Write nothing to any trail."""


def app_of(factors: Factors, person: Person, clock: Clock) -> pyotp.TOTP:
    """Set up an app and return it; its first code has been used."""
    app = pyotp.TOTP(factors.totp.begin(person.id, person.name).secret)
    factors.totp.confirm(person.id, code_of(app, clock), tell=untold)
    clock.advance(STEP_S)
    return app


def code_of(app: pyotp.TOTP, clock: Clock, steps: int = 0) -> str:
    return app.at(clock.now_ns // 10**9 + steps * STEP_S)


def add_passkey(
    factors: Factors, person: Person, device: PasskeyDevice, name: str = "key"
) -> str:
    begun = factors.passkeys.begin_adding(person.id, person.name, HOST)
    made = device.create(begun.options)
    return factors.passkeys.finish_adding(
        person.id, begun.secret, made, name, tell=untold
    ).id


def add_passkey_verified(
    factors: Factors, person: Person, device: PasskeyDevice
) -> None:
    """Add a passkey whose device forgets later on to verify its user."""
    flags, device.flags = device.flags, PRESENT | VERIFIED
    add_passkey(factors, person, device)
    device.flags = flags


def rows_of(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as connection:
        return [
            tuple(row)
            for table in (TOTP, PASSKEY, RECOVERY_CODE)
            for row in connection.execute(select(table).order_by(*table.c))
        ]


def begin(factors: Factors, person: Person | None = None) -> PasskeyBegun:
    kind = CeremonyKind.PASSKEY_STEP_UP if person else CeremonyKind.PASSKEY_SIGN_IN
    return factors.passkeys.begin_proof(kind, HOST, user_id=person and person.id)


def finish(
    factors: Factors,
    begun: PasskeyBegun,
    response: dict[str, Any],
    person: Person | None = None,
) -> PasskeyUsed:
    kind = CeremonyKind.PASSKEY_STEP_UP if person else CeremonyKind.PASSKEY_SIGN_IN
    return factors.passkeys.finish_proof(
        kind, begun.secret, response, user_id=person and person.id
    )


def at_once(count: int, attempt: Callable[[], bool]) -> int:
    """Let *count* threads try at the same moment; return how many succeeded."""
    start = threading.Barrier(count)

    def one(_: int) -> bool:
        start.wait()
        return attempt()

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(one, range(count)))


def proves(check: Callable[[], object]) -> bool:
    try:
        check()
    except NotAuthenticatedError:
        return False
    return True


class TestOneTimeCodes:
    def test_who_has_set_nothing_up_is_asked_for_nothing(
        self, factors: Factors, alice: Person
    ) -> None:
        assert factors.check(alice.id, "") == ()

    def test_an_app_counts_once_it_has_shown_a_code(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        begun = factors.totp.begin(alice.id, alice.name)
        before = factors.held(alice.id).count
        factors.totp.confirm(
            alice.id, code_of(pyotp.TOTP(begun.secret), clock), tell=untold
        )

        assert (before, factors.held(alice.id).count) == (0, 1)

    def test_what_the_app_is_told_is_what_it_computes_from(
        self, factors: Factors, alice: Person
    ) -> None:
        begun = factors.totp.begin(alice.id, alice.name)
        app = pyotp.parse_uri(begun.uri)

        assert (app.secret, app.name, app.issuer) == (
            begun.secret,
            "alice",
            "Callvault",
        )
        assert len(app.byte_secret()) * 8 == 160

    def test_a_code_is_taken_once_h46_reuse(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        code = code_of(app_of(factors, alice, clock), clock)

        assert factors.check(alice.id, code) == ("otp",)
        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, code)

    def test_the_code_that_confirmed_the_app_is_used_up(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = pyotp.TOTP(factors.totp.begin(alice.id, alice.name).secret)
        code = code_of(app, clock)
        factors.totp.confirm(alice.id, code, tell=untold)

        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, code)

    def test_an_older_code_is_not_taken_after_a_newer_one_h46_reuse(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = app_of(factors, alice, clock)
        clock.advance(5 * STEP_S)
        factors.check(alice.id, code_of(app, clock, +1))

        for steps in (-1, 0, +1):
            with pytest.raises(FactorRefusedError):
                factors.check(alice.id, code_of(app, clock, steps))

    @pytest.mark.parametrize(
        ("steps", "is_taken"),
        [(-2, False), (-1, True), (0, True), (1, True), (2, False)],
        ids=lambda value: f"H46-window{value:+d}" if type(value) is int else None,
    )
    def test_the_window_is_one_step(
        self,
        factors: Factors,
        alice: Person,
        clock: Clock,
        steps: int,
        is_taken: bool,
    ) -> None:
        app = app_of(factors, alice, clock)
        clock.advance(10 * STEP_S)

        found = proves(lambda: factors.check(alice.id, code_of(app, clock, steps)))

        assert found is is_taken

    def test_of_a_hundred_that_show_one_code_at_once_one_comes_in(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        code = code_of(app_of(factors, alice, clock), clock)

        came_in = at_once(
            20, lambda: sum(factors.totp.spend(alice.id, code) for _ in range(5)) > 0
        )

        assert came_in == 1

    def test_another_persons_code_is_no_code(
        self, factors: Factors, alice: Person, bob: Person, clock: Clock
    ) -> None:
        app_of(factors, alice, clock)
        other = app_of(factors, bob, clock)

        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, code_of(other, clock))

    def test_rows_swapped_between_two_people_let_neither_in(
        self,
        factors: Factors,
        alice: Person,
        bob: Person,
        clock: Clock,
        catalog_engine: Engine,
    ) -> None:
        apps = {
            alice.id: app_of(factors, alice, clock),
            bob.id: app_of(factors, bob, clock),
        }
        with transaction(catalog_engine) as connection:
            rows = connection.execute(select(TOTP.c.user_id, TOTP.c.sealed)).all()
            for row, other in zip(rows, reversed(rows), strict=True):
                connection.execute(
                    update(TOTP)
                    .where(TOTP.c.user_id == row.user_id)
                    .values(sealed=other.sealed)
                )
        clock.advance(5 * STEP_S)

        for user_id in apps:
            for app in apps.values():
                with pytest.raises(FactorRefusedError):
                    factors.check(user_id, code_of(app, clock))

    def test_the_database_holds_no_secret_of_an_app(
        self, factors: Factors, alice: Person, clock: Clock, catalog_engine: Engine
    ) -> None:
        app = app_of(factors, alice, clock)
        with reading(catalog_engine) as connection:
            kept = repr([tuple(row) for row in connection.execute(select(TOTP))])

        assert app.secret not in kept
        assert repr(app.byte_secret())[2:-1] not in kept

    def test_a_wrong_first_code_confirms_nothing(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = pyotp.TOTP(factors.totp.begin(alice.id, alice.name).secret)

        with pytest.raises(InvalidInputError):
            factors.totp.confirm(alice.id, code_of(app, clock, +5), tell=untold)
        factors.totp.confirm(alice.id, code_of(app, clock), tell=untold)

    def test_an_app_that_is_not_confirmed_in_time_is_none(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = pyotp.TOTP(factors.totp.begin(alice.id, alice.name).secret)
        clock.advance(900)

        with pytest.raises(InvalidInputError):
            factors.totp.confirm(alice.id, code_of(app, clock), tell=untold)

    def test_the_old_app_counts_until_the_new_one_has_shown_a_code(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        old = app_of(factors, alice, clock)
        new = pyotp.TOTP(factors.totp.begin(alice.id, alice.name).secret)
        factors.check(alice.id, code_of(old, clock))
        clock.advance(STEP_S)
        factors.totp.confirm(alice.id, code_of(new, clock), tell=untold)
        clock.advance(STEP_S)

        assert factors.held(alice.id).count == 1
        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, code_of(old, clock))
        factors.check(alice.id, code_of(new, clock))


class TestRecoveryCodes:
    @pytest.fixture
    def codes(self, factors: Factors, alice: Person, clock: Clock) -> tuple[str, ...]:
        app_of(factors, alice, clock)
        return factors.recovery_codes.renew(alice.id, tell=untold)

    def test_there_are_ten_of_140_bits(self, codes: tuple[str, ...]) -> None:
        characters = {len(code.replace("-", "")) for code in codes}

        assert (len(set(codes)), characters) == (10, {28})

    def test_each_lets_in_once_h46_reuse(
        self, factors: Factors, alice: Person, codes: tuple[str, ...]
    ) -> None:
        for code in codes:
            assert factors.check(alice.id, code) == ("otp", "recovery")
            with pytest.raises(FactorRefusedError):
                factors.check(alice.id, code)

        assert factors.held(alice.id).recovery_codes == 0

    def test_typed_by_hand_it_is_the_same_code(
        self, factors: Factors, alice: Person, codes: tuple[str, ...]
    ) -> None:
        spoken = codes[0].lower().replace("-", "  ").replace("0", "o")
        spoken = spoken.replace("1", "l")

        assert factors.check(alice.id, spoken) == ("otp", "recovery")

    def test_of_a_hundred_at_once_one_comes_in(
        self, factors: Factors, alice: Person, codes: tuple[str, ...]
    ) -> None:
        came_in = at_once(
            20,
            lambda: (
                sum(factors.recovery_codes.spend(alice.id, codes[0]) for _ in range(5))
                > 0
            ),
        )

        assert came_in == 1

    def test_new_ones_end_the_old_ones(
        self, factors: Factors, alice: Person, codes: tuple[str, ...]
    ) -> None:
        factors.recovery_codes.renew(alice.id, tell=untold)

        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, codes[0])

    def test_another_persons_is_none(
        self, factors: Factors, alice: Person, bob: Person, clock: Clock
    ) -> None:
        app_of(factors, alice, clock)
        app_of(factors, bob, clock)
        theirs = factors.recovery_codes.renew(bob.id, tell=untold)

        with pytest.raises(FactorRefusedError):
            factors.check(alice.id, theirs[0])

    def test_the_database_holds_none_of_them(
        self, codes: tuple[str, ...], catalog_engine: Engine
    ) -> None:
        with reading(catalog_engine) as connection:
            kept = repr(
                [tuple(row) for row in connection.execute(select(RECOVERY_CODE))]
            )

        assert not any(code.replace("-", "") in kept or code in kept for code in codes)


class TestPasskeys:
    @pytest.fixture
    def device(self) -> PasskeyDevice:
        return PasskeyDevice(origin=ORIGIN)

    def test_a_passkey_tells_who_it_is(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        added = add_passkey(factors, alice, device)
        begun = begin(factors)

        used = finish(factors, begun, device.get(begun.options))

        assert used == PasskeyUsed(
            user_id=alice.id, passkey_id=added, methods=("hwk", "user", "mfa")
        )

    def test_a_key_that_may_be_copied_is_said_to_be_software(
        self, factors: Factors, alice: Person
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN, flags=0x01 | 0x04 | 0x08 | 0x10)
        add_passkey(factors, alice, device)
        begun = begin(factors)

        used = finish(factors, begun, device.get(begun.options))

        assert used.methods == ("swk", "user", "mfa")

    def test_browsers_are_asked_to_verify_their_user_and_to_keep_the_key(
        self, factors: Factors, alice: Person
    ) -> None:
        adding = factors.passkeys.begin_adding(alice.id, alice.name, HOST).options
        chosen: Any = adding["authenticatorSelection"]

        assert adding["attestation"] == "none"
        assert chosen["residentKey"] == "required"
        assert chosen["userVerification"] == "required"
        assert begin(factors).options["userVerification"] == "required"

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"flags": PRESENT}, id="H46-not-verified"),
            pytest.param({"flags": 0}, id="H46-not-present"),
            pytest.param({"rp_id": "other.example"}, id="H46-other-rp-id"),
            pytest.param({"origin": "https://other.example"}, id="H46-other-origin"),
            pytest.param({"origin": "http://vault.example"}, id="H46-other-scheme"),
            pytest.param({"origin": f"{ORIGIN}:444"}, id="H46-other-port"),
            pytest.param({"cross_origin": True}, id="H46-in-a-frame"),
        ],
    )
    def test_a_response_for_anything_else_is_refused(
        self,
        factors: Factors,
        alice: Person,
        device: PasskeyDevice,
        change: dict[str, Any],
    ) -> None:
        add_passkey(factors, alice, device)
        for name, value in change.items():
            setattr(device, name, value)
        begun = begin(factors)

        with pytest.raises(FactorRefusedError) as caught:
            finish(factors, begun, device.get(begun.options))

        assert caught.value.reason == "not-verified"
        assert str(caught.value) == "the passkey was not accepted"

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"flags": PRESENT}, id="H46-not-verified"),
            pytest.param({"rp_id": "other.example"}, id="H46-other-rp-id"),
            pytest.param({"origin": "https://other.example"}, id="H46-other-origin"),
            pytest.param({"cross_origin": True}, id="H46-in-a-frame"),
            pytest.param({"fmt": "tpm"}, id="attestation-not-asked-for"),
        ],
    )
    def test_a_passkey_made_for_anything_else_is_not_kept(
        self,
        factors: Factors,
        alice: Person,
        device: PasskeyDevice,
        change: dict[str, Any],
    ) -> None:
        for name, value in change.items():
            setattr(device, name, value)

        with pytest.raises(InvalidInputError):
            add_passkey(factors, alice, device)
        assert factors.held(alice.id).count == 0

    @pytest.mark.parametrize(
        "steps", [pytest.param(0, id="H46-same"), pytest.param(-3, id="H46-back")]
    )
    def test_a_counter_that_does_not_grow_is_refused_by_its_name(
        self, factors: Factors, alice: Person, device: PasskeyDevice, steps: int
    ) -> None:
        device.counter = 7
        add_passkey(factors, alice, device)
        device.steps = steps
        begun = begin(factors)

        with pytest.raises(FactorRefusedError) as caught:
            finish(factors, begun, device.get(begun.options))

        assert (caught.value.reason, caught.value.user_id) == ("counter-back", alice.id)

    def test_a_device_that_counts_nothing_is_taken(
        self, factors: Factors, alice: Person
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN, steps=0)
        add_passkey(factors, alice, device)

        for _ in range(2):
            begun = begin(factors)
            finish(factors, begun, device.get(begun.options))

    def test_a_counter_that_returns_to_zero_is_refused(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        device.counter = 7
        add_passkey(factors, alice, device)
        device.counter, device.steps = 0, 0
        begun = begin(factors)

        with pytest.raises(FactorRefusedError):
            finish(factors, begun, device.get(begun.options))

    def test_a_response_counts_once_h46_challenge_replay(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        device.steps = 0  # so that no counter helps
        add_passkey(factors, alice, device)
        begun = begin(factors)
        response = device.get(begun.options)
        finish(factors, begun, response)

        with pytest.raises(NotAuthenticatedError):
            finish(factors, begun, response)
        again = begin(factors)
        with pytest.raises(FactorRefusedError):
            finish(factors, again, response)

    def test_of_many_that_replay_one_response_at_once_one_comes_in(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        device.steps = 0
        add_passkey(factors, alice, device)
        begun = begin(factors)
        response = device.get(begun.options)

        came_in = at_once(10, lambda: proves(lambda: finish(factors, begun, response)))

        assert came_in == 1

    def test_a_wrong_response_uses_the_challenge_up(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)
        begun = begin(factors)
        with pytest.raises(NotAuthenticatedError):
            finish(factors, begun, {"id": "nonsense"})

        with pytest.raises(NotAuthenticatedError):
            finish(factors, begun, device.get(begun.options))

    def test_a_challenge_of_another_browser_is_no_use(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)
        mine, other = begin(factors), begin(factors)

        with pytest.raises(FactorRefusedError):
            finish(factors, other, device.get(mine.options))

    def test_a_challenge_for_one_purpose_serves_no_other_and_nobody_else(
        self, factors: Factors, alice: Person, bob: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)
        for as_whom in (None, bob):
            begun = begin(factors, alice)
            with pytest.raises(NotAuthenticatedError):
                finish(factors, begun, device.get(begun.options), as_whom)
        begun = begin(factors)
        with pytest.raises(NotAuthenticatedError):
            finish(factors, begun, device.get(begun.options), alice)

    def test_another_persons_passkey_does_not_step_up_h46_other_person(
        self, factors: Factors, alice: Person, bob: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, PasskeyDevice(origin=ORIGIN))
        add_passkey(factors, bob, device)
        begun = begin(factors, alice)

        with pytest.raises(NotAuthenticatedError):
            finish(factors, begun, device.get(begun.options), alice)

    def test_a_device_that_names_another_person_is_refused(
        self, factors: Factors, alice: Person, bob: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)
        for handle in (None, b"", bytes(16), PasskeyDevice().credential_id):
            device.user_handle = handle
            begun = begin(factors)
            with pytest.raises(FactorRefusedError):
                finish(factors, begun, device.get(begun.options))

    def test_a_challenge_lasts_five_minutes(
        self, factors: Factors, alice: Person, device: PasskeyDevice, clock: Clock
    ) -> None:
        add_passkey(factors, alice, device)
        begun, late = begin(factors), begin(factors)
        clock.advance(299)
        finish(factors, begun, device.get(begun.options))
        clock.advance(1)

        with pytest.raises(NotAuthenticatedError):
            finish(factors, late, device.get(late.options))

    def test_a_signature_of_another_key_is_refused(
        self, factors: Factors, alice: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)
        device.key = PasskeyDevice().key
        begun = begin(factors)

        with pytest.raises(FactorRefusedError):
            finish(factors, begun, device.get(begun.options))

    @pytest.mark.parametrize(
        "host", ["other.example", "vault.example:444", "192.0.2.9", "", "localhost"]
    )
    def test_under_another_host_nothing_is_begun(
        self, factors: Factors, alice: Person, host: str
    ) -> None:
        with pytest.raises(ConflictError):
            factors.passkeys.begin_adding(alice.id, alice.name, host)
        with pytest.raises(ConflictError):
            factors.passkeys.begin_proof(CeremonyKind.PASSKEY_SIGN_IN, host)

    def test_a_passkey_is_somebodys_once(
        self, factors: Factors, alice: Person, bob: Person, device: PasskeyDevice
    ) -> None:
        add_passkey(factors, alice, device)

        with pytest.raises(ConflictError):
            add_passkey(factors, bob, device)

    def test_one_person_has_at_most_twenty(
        self, factors: Factors, alice: Person
    ) -> None:
        late = factors.passkeys.begin_adding(alice.id, alice.name, HOST)
        for number in range(20):
            add_passkey(factors, alice, PasskeyDevice(origin=ORIGIN), f"key {number}")

        with pytest.raises(ConflictError):
            factors.passkeys.begin_adding(alice.id, alice.name, HOST)
        made = PasskeyDevice(origin=ORIGIN).create(late.options)
        with pytest.raises(ConflictError):
            factors.passkeys.finish_adding(
                alice.id, late.secret, made, "one more", tell=untold
            )

    def test_who_has_set_up_what_is_one_answer_for_everybody(
        self,
        factors: Factors,
        alice: Person,
        bob: Person,
        device: PasskeyDevice,
        clock: Clock,
    ) -> None:
        app_of(factors, alice, clock)
        add_passkey(factors, alice, device, "blue key")
        factors.totp.begin(bob.id, bob.name)

        assert {
            alice.id: FactorsCounted(has_totp=True, passkeys=1)
        } == factors.held_by_everybody()

    def test_the_last_use_is_shown(
        self, factors: Factors, alice: Person, device: PasskeyDevice, clock: Clock
    ) -> None:
        add_passkey(factors, alice, device, "blue key")
        before = factors.held(alice.id).passkeys[0]
        clock.advance(60)
        begun = begin(factors, alice)
        finish(factors, begun, device.get(begun.options), alice)

        assert (before.name, before.used_ns) == ("blue key", None)
        assert factors.held(alice.id).passkeys[0].used_ns == clock.now_ns

    def test_who_has_none_is_told_so(self, factors: Factors, alice: Person) -> None:
        with pytest.raises(NotFoundError):
            begin(factors, alice)


class TestCeremonies:
    @pytest.fixture
    def ceremonies(self, catalog_engine: Engine, clock: Clock) -> Ceremonies:
        return Ceremonies(catalog_engine, clock=clock)

    def test_what_was_remembered_comes_back_once(self, ceremonies: Ceremonies) -> None:
        secret = ceremonies.begin(CeremonyKind.OIDC_SIGN_IN, {"state": "s"})
        found = ceremonies.finish(secret, CeremonyKind.OIDC_SIGN_IN)

        assert found.content == {"state": "s"}
        with pytest.raises(NotAuthenticatedError):
            ceremonies.finish(secret, CeremonyKind.OIDC_SIGN_IN)

    @pytest.mark.parametrize("secret", ["", "cvc_", "\0", "\ud800", "x" * 10_000])
    def test_what_we_never_made_is_nothing(
        self, ceremonies: Ceremonies, secret: str
    ) -> None:
        with pytest.raises(NotAuthenticatedError):
            ceremonies.finish(secret, CeremonyKind.OIDC_SIGN_IN)

    def test_the_database_knows_no_secret_of_one(
        self, ceremonies: Ceremonies, catalog_engine: Engine
    ) -> None:
        secret = ceremonies.begin(CeremonyKind.PASSKEY_SIGN_IN, {})
        with reading(catalog_engine) as connection:
            kept = repr([tuple(row) for row in connection.execute(select(CEREMONY))])

        assert secret not in kept

    def test_old_ones_make_room_for_new_ones(
        self,
        ceremonies: Ceremonies,
        clock: Clock,
        catalog_engine: Engine,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("vault.access.ceremonies.MAX_OPEN", 3)
        for _ in range(3):
            ceremonies.begin(CeremonyKind.PASSKEY_SIGN_IN, {})

        with pytest.raises(ThrottledError):
            ceremonies.begin(CeremonyKind.PASSKEY_SIGN_IN, {})
        clock.advance(300)
        ceremonies.begin(CeremonyKind.PASSKEY_SIGN_IN, {})


class TestRemoving:
    def test_the_last_factor_that_a_role_asks_for_stays(
        self, factors: Factors, bob: Person, clock: Clock
    ) -> None:
        app_of(factors, bob, clock)
        passkey = add_passkey(factors, bob, PasskeyDevice(origin=ORIGIN))
        factors.remove_totp(bob, tell=untold)

        with pytest.raises(ConflictError):
            factors.remove_passkey(bob, passkey, tell=untold)
        assert factors.held(bob.id).count == 1

    def test_two_last_factors_removed_at_once_are_not_both_gone(
        self, factors: Factors, bob: Person, clock: Clock
    ) -> None:
        app_of(factors, bob, clock)
        passkey = add_passkey(factors, bob, PasskeyDevice(origin=ORIGIN))
        ways = [
            lambda: factors.remove_totp(bob, tell=untold),
            lambda: factors.remove_passkey(bob, passkey, tell=untold),
        ]

        def attempt() -> bool:
            try:
                ways.pop()()
            except ConflictError:
                return False
            return True

        assert at_once(2, attempt) == 1
        assert factors.held(bob.id).count == 1

    def test_who_need_not_have_one_removes_all_and_the_recovery_codes_with_it(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app_of(factors, alice, clock)
        factors.recovery_codes.renew(alice.id, tell=untold)
        factors.remove_totp(alice, tell=untold)

        held = factors.held(alice.id)
        assert (held.count, held.recovery_codes) == (0, 0)
        assert factors.check(alice.id, "") == ()

    def test_nobody_removes_anothers_passkey(
        self, factors: Factors, alice: Person, bob: Person
    ) -> None:
        passkey = add_passkey(factors, bob, PasskeyDevice(origin=ORIGIN))
        for passkey_id in (passkey, "", "\0", "no such id"):
            with pytest.raises(NotFoundError):
                factors.remove_passkey(alice, passkey_id, tell=untold)
        with pytest.raises(NotFoundError):
            factors.remove_totp(alice, tell=untold)

        assert factors.held(bob.id).count == 1

    def test_a_reset_leaves_nothing_of_one_person_and_all_of_another(
        self,
        factors: Factors,
        alice: Person,
        bob: Person,
        clock: Clock,
        catalog_engine: Engine,
    ) -> None:
        for person in (alice, bob):
            app_of(factors, person, clock)
            factors.totp.begin(person.id, person.name)
            add_passkey(factors, person, PasskeyDevice(origin=ORIGIN))
            factors.recovery_codes.renew(person.id, tell=untold)

        assert factors.reset(bob.id, tell=untold).factors == 2
        with reading(catalog_engine) as connection:
            owners = {
                owner
                for table in (TOTP, PASSKEY, RECOVERY_CODE)
                for owner in connection.scalars(select(table.c.user_id))
            }
        assert owners == {alice.id}


class TestTelling:
    """What can't be written to the trail does not happen."""

    @pytest.fixture
    def ways(
        self, factors: Factors, alice: Person, clock: Clock
    ) -> dict[str, Callable[[Tell], object]]:
        app_of(factors, alice, clock)
        passkey = add_passkey(factors, alice, PasskeyDevice(origin=ORIGIN))
        factors.recovery_codes.renew(alice.id, tell=untold)
        begun = factors.passkeys.begin_adding(alice.id, alice.name, HOST)
        made = PasskeyDevice(origin=ORIGIN).create(begun.options)
        new = pyotp.TOTP(factors.totp.begin(alice.id, alice.name).secret)
        return {
            "totp": lambda tell: factors.totp.confirm(
                alice.id, code_of(new, clock), tell=tell
            ),
            "passkey": lambda tell: factors.passkeys.finish_adding(
                alice.id, begun.secret, made, "blue", tell=tell
            ),
            "recovery-codes": lambda tell: factors.recovery_codes.renew(
                alice.id, tell=tell
            ),
            "no-passkey": lambda tell: factors.remove_passkey(
                alice, passkey, tell=tell
            ),
            "no-totp": lambda tell: factors.remove_totp(alice, tell=tell),
            "all": lambda tell: factors.reset(alice.id, tell=tell),
        }

    @pytest.mark.parametrize(
        "way",
        ["totp", "passkey", "recovery-codes", "no-passkey", "no-totp", "all"],
    )
    def test_a_change_that_cannot_be_told_is_none(
        self,
        ways: dict[str, Callable[[Tell], object]],
        way: str,
        catalog_engine: Engine,
    ) -> None:
        def untellable(_: FactorChange) -> None:
            raise AuditUnavailableError("the trail is closed")

        before = rows_of(catalog_engine)
        with pytest.raises(AuditUnavailableError):
            ways[way](untellable)

        assert rows_of(catalog_engine) == before

    def test_each_change_says_what_it_is_about(
        self, ways: dict[str, Callable[[Tell], object]]
    ) -> None:
        told: list[FactorChange] = []
        for change in ways.values():
            change(told.append)

        assert [(str(one.kind), one.count, one.name) for one in told] == [
            ("totp", 1, ""),
            ("passkey", 1, "blue"),
            ("recovery-codes", 10, ""),
            ("passkey", 1, "key"),
            ("totp", 1, ""),
            ("all", 1, ""),
        ]


class TestFirst:
    """Who comes in by half adds a first factor, and never one beside another's."""

    def test_an_app_beside_a_passkey_is_not_a_first_one(
        self, factors: Factors, bob: Person, clock: Clock
    ) -> None:
        app = pyotp.TOTP(factors.totp.begin(bob.id, bob.name).secret)
        add_passkey(factors, bob, PasskeyDevice(origin=ORIGIN))

        with pytest.raises(SecondFactorRequiredError):
            factors.totp.confirm(
                bob.id, code_of(app, clock), tell=untold, is_first=True
            )

    def test_a_passkey_beside_an_app_is_not_a_first_one(
        self, factors: Factors, bob: Person, clock: Clock
    ) -> None:
        begun = factors.passkeys.begin_adding(bob.id, bob.name, HOST)
        made = PasskeyDevice(origin=ORIGIN).create(begun.options)
        app_of(factors, bob, clock)

        with pytest.raises(SecondFactorRequiredError):
            factors.passkeys.finish_adding(
                bob.id, begun.secret, made, "key", tell=untold, is_first=True
            )

    def test_codes_for_recovery_stand_in_for_something(
        self, factors: Factors, bob: Person
    ) -> None:
        with pytest.raises(ConflictError):
            factors.recovery_codes.renew(bob.id, tell=untold)


class TestProofs:
    @pytest.fixture
    def proofs(
        self, factors: Factors, sign_in: SignIn, catalog_engine: Engine, clock: Clock
    ) -> FactorProofs:
        throttle = Throttle(catalog_engine, clock=clock)
        return FactorProofs(factors, throttle=throttle, sign_in=sign_in)

    def test_the_missing_code_is_counted_with_passwords(
        self,
        proofs: FactorProofs,
        factors: Factors,
        sign_in: SignIn,
        alice: Person,
        clock: Clock,
    ) -> None:
        app = app_of(factors, alice, clock)
        assert proofs.code(alice, code_of(app, clock), PEER) == ("otp",)
        for _ in range(10):
            with pytest.raises(NotAuthenticatedError):
                proofs.code(alice, "000000", PEER)
        clock.advance(STEP_S)

        for attempt in (
            lambda: proofs.code(alice, code_of(app, clock), "198.51.100.1"),
            lambda: sign_in.password("alice", RIGHT, PEER, otp=code_of(app, clock)),
        ):
            with pytest.raises(ThrottledError):
                attempt()

    def test_no_code_proves_that_nothing_is_set_up(
        self, proofs: FactorProofs, alice: Person
    ) -> None:
        with pytest.raises(NotAuthenticatedError):
            proofs.code(alice, "", PEER)

    def test_a_passkey_opens_a_session_with_two_factors(
        self, proofs: FactorProofs, factors: Factors, bob: Person
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN)
        add_passkey(factors, bob, device)
        begun = begin(factors)
        opened = proofs.passkey_sign_in(
            begun.secret, device.get(begun.options), PEER, kind=SessionKind.BROWSER
        )

        assert opened.session.methods == ("hwk", "user", "mfa")
        assert not opened.session.is_restricted

    def test_guesses_at_a_passkey_are_counted_and_lock_no_password(
        self, proofs: FactorProofs, factors: Factors, sign_in: SignIn, alice: Person
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN, flags=PRESENT)
        add_passkey_verified(factors, alice, device)
        outcomes = []
        for _ in range(12):
            begun = begin(factors)
            try:
                proofs.passkey(
                    CeremonyKind.PASSKEY_SIGN_IN,
                    begun.secret,
                    device.get(begun.options),
                    PEER,
                )
            except (NotAuthenticatedError, ThrottledError) as error:
                outcomes.append(type(error))

        assert outcomes == [FactorRefusedError] * 10 + [ThrottledError] * 2
        with pytest.raises(FactorRefusedError):
            sign_in.password("alice", RIGHT, PEER)


class TestSignIn:
    def test_the_password_and_the_code_come_in_one_request(
        self, sign_in: SignIn, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = app_of(factors, alice, clock)
        opened = sign_in.password("alice", RIGHT, PEER, otp=code_of(app, clock))

        assert opened.session.methods == ("pwd", "otp")

    @pytest.mark.parametrize(
        ("password", "otp"),
        [(RIGHT, ""), (RIGHT, "000000"), ("wrong password", "right"), ("", "")],
    )
    def test_whatever_was_wrong_is_refused_in_the_same_words(
        self,
        sign_in: SignIn,
        factors: Factors,
        alice: Person,
        clock: Clock,
        password: str,
        otp: str,
    ) -> None:
        app = app_of(factors, alice, clock)
        given = code_of(app, clock) if otp == "right" else otp

        with pytest.raises(NotAuthenticatedError) as caught:
            sign_in.password("alice", password, PEER, otp=given)

        assert str(caught.value) == REFUSED

    def test_a_wrong_password_does_not_use_the_code_up(
        self, sign_in: SignIn, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app = app_of(factors, alice, clock)
        with pytest.raises(NotAuthenticatedError):
            sign_in.password("alice", "wrong password", PEER, otp=code_of(app, clock))

        sign_in.password("alice", RIGHT, PEER, otp=code_of(app, clock))

    def test_the_trail_can_tell_a_wrong_code_from_a_wrong_password(
        self, sign_in: SignIn, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app_of(factors, alice, clock)
        with pytest.raises(FactorRefusedError) as caught:
            sign_in.password("alice", RIGHT, PEER, otp="000000")

        assert (caught.value.user_id, caught.value.reason) == (alice.id, "wrong-code")

    def test_a_million_tries_are_ten_h46_million_tries(
        self,
        sign_in: SignIn,
        factors: Factors,
        alice: Person,
        clock: Clock,
        catalog_engine: Engine,
    ) -> None:
        """Counted and not run: after ten, each further one ends at the throttle."""
        app = app_of(factors, alice, clock)
        refusals = []
        for number in range(25):
            try:
                sign_in.password("alice", RIGHT, f"192.0.2.{number}", otp="000000")
            except (NotAuthenticatedError, ThrottledError) as error:
                refusals.append(type(error))
        with reading(catalog_engine) as connection:
            counted = len(connection.execute(select(SIGN_IN_ATTEMPT)).all())

        assert refusals == [FactorRefusedError] * 10 + [ThrottledError] * 15
        assert counted == 10
        with pytest.raises(ThrottledError):
            sign_in.password("alice", RIGHT, PEER, otp=code_of(app, clock))

    def test_who_has_only_a_passkey_does_not_come_in_by_password(
        self, sign_in: SignIn, factors: Factors, alice: Person
    ) -> None:
        add_passkey(factors, alice, PasskeyDevice(origin=ORIGIN))

        with pytest.raises(FactorRefusedError):
            sign_in.password("alice", RIGHT, PEER)

    def test_a_role_that_asks_for_a_factor_restricts_who_has_none(
        self, sign_in: SignIn, alice: Person, bob: Person
    ) -> None:
        opened = {
            name: sign_in.password(name, RIGHT, PEER).session.is_restricted
            for name in ("alice", "bob")
        }

        assert opened == {"alice": False, "bob": True}

    def test_with_the_factor_nothing_is_restricted(
        self, sign_in: SignIn, factors: Factors, bob: Person, clock: Clock
    ) -> None:
        app = app_of(factors, bob, clock)
        opened = sign_in.password("bob", RIGHT, PEER, otp=code_of(app, clock))

        assert not opened.session.is_restricted

    def test_who_is_vouched_for_elsewhere_still_gives_the_factor_that_is_set_up(
        self, sign_in: SignIn, factors: Factors, alice: Person, clock: Clock
    ) -> None:
        app_of(factors, alice, clock)
        halves = [
            sign_in.verified(
                Verified(
                    source="local",
                    external_id=alice.id,
                    name=alice.name,
                    methods=methods,
                ),
                PEER,
                kind=SessionKind.BROWSER,
            ).session.is_restricted
            for methods in (("pwd",), ("pwd", "mfa"))
        ]

        assert halves == [True, False]

    def test_a_passkey_alone_is_two_factors(
        self, sign_in: SignIn, factors: Factors, bob: Person
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN)
        add_passkey(factors, bob, device)
        begun = begin(factors)
        used = finish(factors, begun, device.get(begun.options))
        opened = sign_in.known(
            used.user_id, used.methods, PEER, kind=SessionKind.BROWSER
        )

        assert (opened.session.person.id, opened.session.is_restricted) == (
            bob.id,
            False,
        )

    def test_a_disabled_persons_passkey_opens_nothing(
        self,
        sign_in: SignIn,
        factors: Factors,
        alice: Person,
        catalog_engine: Engine,
    ) -> None:
        device = PasskeyDevice(origin=ORIGIN)
        add_passkey(factors, alice, device)
        begun = begin(factors)
        used = finish(factors, begun, device.get(begun.options))
        People(catalog_engine).disable(alice.id)

        with pytest.raises(NotAuthenticatedError):
            sign_in.known(used.user_id, used.methods, PEER, kind=SessionKind.BROWSER)
