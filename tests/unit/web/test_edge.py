import re

import pytest
from httpx import Client
from starlette.datastructures import Headers

from tests.simulators.asgi import SignedInAs, client_for
from tests.simulators.web_vault import WebVault, running
from vault.edge.config import EdgeConfig
from vault.edge.problems import CROSS_SITE
from vault.web.config import WebConfig
from vault.web.edge import cross_site_problem


class TestCrossSite:
    @pytest.mark.parametrize(
        ("method", "headers", "expected"),
        [
            ("GET", {}, None),
            ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, None),
            ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, CROSS_SITE),
            ("POST", {}, None),
            ("POST", {"sec-fetch-site": "same-origin"}, None),
            ("POST", {"sec-fetch-site": "none"}, CROSS_SITE),
            ("POST", {"sec-fetch-site": "cross-site"}, CROSS_SITE),
            ("DELETE", {"origin": "https://vault.test"}, None),
            ("DELETE", {"origin": "http://vault.test"}, None),
            ("DELETE", {"origin": "null"}, CROSS_SITE),
            ("DELETE", {"origin": ""}, CROSS_SITE),
            ("DELETE", {"origin": "vault.test"}, CROSS_SITE),
            ("DELETE", {"origin": "ftp://vault.test"}, CROSS_SITE),
            ("DELETE", {"origin": "https://app.vault.test"}, CROSS_SITE),
            ("DELETE", {"origin": "https://vault.test:8443"}, CROSS_SITE),
            ("POST", {"sec-fetch-site": "same-site"}, CROSS_SITE),
            ("POST", {"sec-fetch-site": "nonsense"}, CROSS_SITE),
            ("DELETE", {"origin": "https://vault.test.evil.test"}, CROSS_SITE),
        ],
    )  # fmt: skip
    def test_the_initiator_decides(
        self, method: str, headers: dict[str, str], expected: object
    ) -> None:
        found = cross_site_problem(method, Headers({"host": "vault.test"} | headers))

        assert found == expected

    def test_over_tls_the_same_host_without_tls_is_another_site(self) -> None:
        headers = Headers({"host": "vault.test", "origin": "http://vault.test"})

        assert cross_site_problem("POST", headers, https=True) == CROSS_SITE


class TestBodies:
    def test_a_body_above_64_kib_is_413(self, nobody: Client) -> None:
        answer = nobody.post("/api/v1/sessions", content=b"x" * 65_537)

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("length", ["+4", "-1", "1e3", "4, 4", "٤"])
    def test_a_length_that_is_no_number_is_400(
        self, nobody: Client, length: str
    ) -> None:
        request = nobody.build_request(
            "POST", "/api/v1/sessions", content=b"null", headers={}
        )
        request.headers["content-length"] = length

        assert nobody.send(request).status_code == 400


class TestEveryAnswer:
    @pytest.mark.parametrize(
        "path",
        ["/sign-in", "/nowhere", "/api/v1/nowhere", "/healthz", "/api/v1/recordings",
         "/static/dist/manifest.json"],
    )  # fmt: skip
    def test_it_carries_the_security_headers(self, nobody: Client, path: str) -> None:
        headers = nobody.get(path).headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"

    def test_the_policy_has_no_exception(self, nobody: Client) -> None:
        policy = nobody.get("/sign-in").headers["content-security-policy"]
        sources = {word for part in policy.split("; ") for word in part.split()[1:]}

        assert sources == {"'none'", "'self'", "'script'", "htmx", "default"}
        assert "require-trusted-types-for 'script'" in policy

    def test_only_the_bundle_may_be_cached(self, nobody: Client) -> None:
        page = nobody.get("/sign-in")
        sheet = re.findall(r'href="(/static/dist/assets/[^"]+)"', page.text)[0]

        assert page.headers["cache-control"] == "private, no-store"
        assert "immutable" in nobody.get(sheet).headers["cache-control"]

    @pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "DELETE", "BREW"])
    def test_another_method_is_405(self, nobody: Client, method: str) -> None:
        answer = nobody.request(method, "/api/v1/recordings")

        assert answer.status_code == 405
        assert answer.json()["type"] == "/problems/method-not-allowed"

    def test_there_is_no_schema_to_browse(self, nobody: Client) -> None:
        found = [
            nobody.get(path).status_code
            for path in ("/docs", "/redoc", "/openapi.json")
        ]

        assert found == [404, 404, 404]


class TestRate:
    def test_an_address_that_asks_too_often_is_told_to_wait(self, tmp_path) -> None:  # noqa: ANN001
        with running(
            tmp_path, WebConfig(edge=EdgeConfig(requests_per_minute=3))
        ) as vault:
            client, other = client_for(vault.app()), client_for(vault.app(), peer="::1")
            found = [client.get("/healthz").status_code for _ in range(4)]
            retry = client.get("/healthz").headers["retry-after"]
            neighbour = other.get("/healthz").status_code

        assert (found, retry, neighbour) == ([200, 200, 200, 429], "60", 200)

    def test_a_forged_forwarding_header_is_no_other_address(
        self, shared_vault: WebVault, signed_in: SignedInAs
    ) -> None:
        signed_in("ada").get(
            "/api/v1/recordings", headers={"X-Forwarded-For": "203.0.113.9"}
        )

        assert shared_vault.leaves()[-1]["origin"] == "192.0.2.7"
