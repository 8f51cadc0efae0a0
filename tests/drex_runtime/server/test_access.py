"""Who may reach the server (39): nobody from elsewhere unless asked for, nothing but /health without the key."""

from __future__ import annotations

import inspect

from drex_runtime.commands import serve
from drex_runtime.server.run import listen
from tests.drex_runtime.server.running import GOLDEN, running

KEY = "secret"


def test_the_default_address_is_not_reachable_from_elsewhere() -> None:
    host = inspect.signature(serve.serve).parameters["host"].default
    assert host == "127.0.0.1"
    with listen(host, 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_every_route_but_health_needs_the_key() -> None:
    """Those that exist now and will exist: the list is the application's own. So do paths that do not exist."""
    with running(api_key=KEY) as server:
        paths = {path for path in server.http.get("/openapi.json", headers=bearer(KEY)).json()["paths"]}
        assert {"/v1/completions", "/metrics", "/version", "/health"} <= paths
        for path in sorted(paths | {"/openapi.json", "/nowhere", "/health/", "//health", "/docs"}):
            for method in ("GET", "POST", "OPTIONS"):
                for key in (None, "wrong", KEY + "x", KEY.upper()) if method == "GET" else (None,):
                    status = server.http.request(method, path, headers=bearer(key), json=GOLDEN).status_code
                    assert (status != 401) == (path == "/health"), (method, path, key)
        assert server.http.post("/v1/completions", headers=bearer(KEY), json=GOLDEN).status_code == 200
        assert server.http.get("/nowhere", headers=bearer(KEY)).status_code == 404


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
