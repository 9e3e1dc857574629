"""The README's two services, each served by its real server over a socket: one story, told to both."""

from __future__ import annotations

import asyncio
import re
import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fix_server import Server

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SERVICES = {"fastapi": "app = FastAPI(", "aiohttp": "web.RouteTableDef()"}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The README's block of one framework, as a module."""
    (block,) = (block for block in BLOCKS if SERVICES[request.param] in block)
    module = types.ModuleType(f"readme_{request.param}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block, "README.md", "exec", dont_inherit=True), module.__dict__)
    return module


@asynccontextmanager
async def served(service: Any) -> AsyncIterator[str]:
    """The service behind its own server on a free port; yields its URL."""
    if not hasattr(service, "make_app"):
        config = uvicorn.Config(service.app, port=0, log_level="error", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
    else:
        runner = web.AppRunner(service.make_app(), shutdown_timeout=5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture
async def client(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    monkeypatch.setenv("DDAO_URL", f"sqlite:///{tmp_path}/service.db")
    async with served(service) as url, aiohttp.ClientSession(url) as session:
        yield session


ANN = {"email": "ann@example.com", "name": "Ann"}


async def test_a_record_is_created_read_found_and_listed(client: aiohttp.ClientSession) -> None:
    async with client.post("/users", json=ANN) as response:
        ann = await response.json()
        assert (response.status, ann["name"], ann["country"]) == (201, "Ann", "NL")
    async with client.get(f"/users/{ann['id']}") as response:
        assert (response.status, await response.json()) == (200, ann)
    async with client.get("/users/by-email/ann@example.com") as response:
        assert (response.status, await response.json()) == (200, ann)
    async with client.get("/users", params={"country": "NL"}) as response:
        assert (response.status, await response.json()) == (200, [ann])
    async with client.post(f"/users/{ann['id']}/documents", json={"title": "One"}) as response:
        document = await response.json()
        assert (response.status, document["user_id"]) == (201, ann["id"])
    async with client.get(f"/users/{ann['id']}/documents") as response:
        assert await response.json() == [document]


async def test_errors_are_answers_that_say_what_to_do(client: aiohttp.ClientSession) -> None:
    async with client.get("/users/nobody") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
        assert (await response.json(content_type=None))["error"] == "NotFoundError"
    await client.post("/users", json=ANN)
    async with client.post("/users", json=ANN) as response:
        assert (response.status, (await response.json(content_type=None))["error"]) == (409, "UniqueViolationError")
    for wrong in ({"email": 7, "name": "x"}, {"name": "x"}, [], None):
        async with client.post("/users", json=wrong) as response:
            assert (response.status, "email" in await response.text() or not wrong) == (422, True)
    async with client.post("/users", data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 422
    async with client.put("/users/%2e%2e%2fx", json=ANN) as response:
        assert response.status in (404, 422)  # no route, or no id


async def test_the_version_is_the_etag_and_conditions_hold(client: aiohttp.ClientSession) -> None:
    async with client.put("/users/ann", json=ANN, headers={"If-None-Match": "*"}) as response:
        assert response.status == 201
    async with client.put("/users/ann", json=ANN, headers={"If-None-Match": "*"}) as response:
        assert response.status == 412
    async with client.get("/users/ann") as response:
        etag = response.headers["ETag"]
    async with client.get("/users/ann", headers={"If-None-Match": f'"other", {etag}'}) as response:
        assert (response.status, await response.read(), response.headers["ETag"]) == (304, b"", etag)
    async with client.put("/users/ann", json={**ANN, "name": "Bea"}, headers={"If-Match": etag}) as response:
        assert response.status == 204
    async with client.put("/users/ann", json={**ANN, "name": "Cea"}, headers={"If-Match": etag}) as response:
        assert response.status == 412
    async with client.delete("/users/ann", headers={"If-Match": etag}) as response:
        assert response.status == 412
    async with client.get("/users/ann", headers={"If-None-Match": etag}) as response:
        assert (response.status, (await response.json())["name"]) == (200, "Bea")
        etag = response.headers["ETag"]
    async with client.delete("/users/ann", headers={"If-Match": f'"other", {etag}'}) as response:
        assert response.status == 204
    for headers, status in (({}, 404), ({"If-Match": "*"}, 412), ({"If-Match": etag}, 412), ({"If-Match": "x"}, 422)):
        async with client.delete("/users/ann", headers=headers) as response:
            assert (response.status, headers) == (status, headers)
    async with client.put("/users/ann", json=ANN, headers={"If-Match": "*"}) as response:
        assert response.status == 412
    async with client.put("/users/ann", json={**ANN, "id": "bob"}) as response:
        assert response.status == 422


async def test_pages_are_linked_until_the_last(client: aiohttp.ClientSession) -> None:
    created = [client.post("/users", json={"email": f"{n}@x", "name": str(n)}) for n in range(120)]
    assert {response.status for response in await asyncio.gather(*created)} == {201}

    names: list[str] = []
    url, pages = "/users?country=NL", 0
    while url:
        async with client.get(url) as response:
            names += [user["name"] for user in await response.json()]
            link = response.headers.get("Link", "")
        url, pages = (link[1 : link.index(">")] if link else ""), pages + 1
    assert (sorted(names, key=int), pages) == ([str(n) for n in range(120)], 3)


@pytest.mark.parametrize("lane", ["wire", "aiobotocore"])
async def test_nothing_is_lost_under_load_with_clients_that_hang_up(
    service: Any, seaweedfs: Server, monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    """Hundreds of requests in flight, some clients gone before their answer, the server told to stop in the middle."""
    bucket = seaweedfs.create_bucket()
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DDAO_URL", f"s3://{bucket}/app?endpoint={seaweedfs.url}&transport={lane}")
    stored: set[str] = set()

    async def create(session: aiohttp.ClientSession, n: int) -> None:
        if n % 10 == 0:  # hangs up
            with pytest.raises((TimeoutError, aiohttp.ClientError)):
                await session.put(
                    f"/users/u{n}", json={"email": f"{n}@x", "name": "x"}, timeout=aiohttp.ClientTimeout(0.005)
                )
            return
        try:
            async with session.put(f"/users/u{n}", json={"email": f"{n}@x", "name": str(n)}) as response:
                assert response.status in (201, 503), await response.text()
                if response.status == 201:
                    stored.add(f"u{n}")
        except aiohttp.ClientError:
            pass  # the server is going down

    connector = aiohttp.TCPConnector(limit=0)
    async with served(service) as url:
        session = aiohttp.ClientSession(url, connector=connector)
        tasks = [asyncio.create_task(create(session, n)) for n in range(300)]
        while len(stored) < 150:
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    await session.close()

    assert len(stored) >= 150
    async with served(service) as url, aiohttp.ClientSession(url) as session:
        for user in sorted(stored):
            async with session.get(f"/users/{user}") as response:
                assert (response.status, (await response.json())["name"]) == (200, user[1:])


@pytest.mark.parametrize("service", ["fastapi"], indirect=True)
async def test_no_request_that_the_openapi_document_allows_is_a_server_error(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDAO_URL", f"sqlite:///{tmp_path}/service.db")
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        "--checks",
        "not_a_server_error",
        "--max-examples",
        "20",
    ]
    async with served(service) as url:
        running = await asyncio.create_subprocess_exec(
            *command, "--seed", "1", f"{url}/openapi.json", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await running.communicate()

    assert running.returncode == 0, output.decode()
