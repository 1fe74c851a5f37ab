"""Leader election on a real API server: two candidates, crashes, clean exits, and a server out of reach.

The times are a third of what the operator uses and less; what is tested is their order. While a candidate runs, `kubectl`
is called in a thread: a blocked event loop renews nothing.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import connect, request
from hypersweep.cluster.lease import LeadershipLost, Lease, leadership
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import ServiceAccountKubeconfig
from tests.cluster_unit.proxy import Proxy
from tests.cluster_unit.waiting import until

pytestmark = pytest.mark.api

TIMES: dict[str, Any] = {"duration": 5, "deadline": 3.0, "renew": 0.5, "retry": 0.2}
Candidate = Callable[[str], Lease]


@pytest.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[ApiClient]:
    async with connected(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def candidate(api: ApiClient, namespace: str) -> Candidate:
    """A function from an identity to a candidate for this test's namespace."""
    return lambda identity: Lease(api, namespace=namespace, identity=identity, **TIMES)


@pytest.fixture
def holder(api: ApiClient, namespace: str) -> Callable[[], Awaitable[str]]:
    """A function that reads who holds the lease; empty if nobody does."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/hypersweep"

    async def read() -> str:
        found: str = (await request(api, "GET", path))["spec"].get("holderIdentity", "")
        return found

    return read


async def lead(lease: Lease, log: list[str]) -> None:
    """Lead for ever, and write down when it begins and ends."""
    async with leadership([lease]):
        log.append(f"{lease.identity} leads")
        try:
            await asyncio.Event().wait()
        finally:
            log.append(f"{lease.identity} ends")


@asynccontextmanager
async def connected(kubeconfig: Path | str) -> AsyncIterator[ApiClient]:
    """A client, closed at the end."""
    client = await connect(str(kubeconfig))
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def running(*coroutines: Any) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these beside the body, and cancel what is left at its end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_of_two_leads_and_hands_over_on_a_clean_exit(
    candidate: Candidate, holder: Callable[[], Awaitable[str]]
) -> None:
    """The second waits as long as the first renews, and follows at once when it lets go."""
    log: list[str] = []
    one, two = candidate("one"), candidate("two")
    async with running(lead(one, log)) as (first,):
        await until(lambda: log, what="the first to lead")
        async with running(lead(two, log)):
            await asyncio.sleep(TIMES["duration"] + 0.5)  # longer than a lease lasts without renewal
            assert log == ["one leads"]
            assert (one.held, two.held) == (True, False)
            first.cancel()
            began = time.monotonic()
            await until(lambda: two.held, what="the second to lead")
            assert time.monotonic() - began < TIMES["duration"] / 2
            assert log == ["one leads", "one ends", "two leads"]
            assert one.uid == two.uid != ""
            assert await holder() == "two"
    assert await holder() == ""


async def test_crashed_leader_is_followed_once_its_lease_has_run_out(candidate: Candidate) -> None:
    """A leader that vanishes without a word keeps the lease for its duration, not less and hardly more."""
    one, two = candidate("one"), candidate("two")
    await one.acquire()  # and nobody renews
    began = time.monotonic()
    async with asyncio.timeout(TIMES["duration"] + 5):
        await two.acquire()
    assert TIMES["duration"] - 0.1 <= time.monotonic() - began <= TIMES["duration"] + 2
    assert not one.held


async def test_restarted_process_with_its_old_identity_goes_on_at_once(candidate: Candidate) -> None:
    """A container restarted in the same pod need not wait for itself."""
    await candidate("pod").acquire()
    began = time.monotonic()
    again = candidate("pod")
    await again.acquire()
    assert again.held
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("fault", ["cut", "swallow"])
async def test_leader_without_the_server_stops_before_another_may_start(
    control_plane: ControlPlane, candidate: Candidate, namespace: str, tmp_path: Path, fault: str
) -> None:
    """Connections refused or just dead: at the deadline the body is cancelled and the loss raised, in that order."""
    log: list[str] = []
    async with Proxy(control_plane.kubeconfig) as proxy, connected(proxy.kubeconfig(tmp_path)) as client:
        lease = Lease(client, namespace=namespace, identity="one", **TIMES)

        async def body() -> None:
            async with leadership([lease], on_lost=lambda: log.append("lost")):
                log.append("leads")
                try:
                    await asyncio.Event().wait()
                finally:
                    log.append("ends")

        async with running(body()) as (leader,):
            await until(lambda: lease.held, what="the first to lead")
            async with running(lead(candidate("two"), log)):
                if fault == "cut":
                    await proxy.cut()
                proxy.swallow()
                began = time.monotonic()
                await until(leader.done, what="the loss to be noticed", seconds=TIMES["duration"])
                assert time.monotonic() - began <= TIMES["deadline"] + 1
                assert isinstance(leader.exception(), LeadershipLost)
                assert "not renewed in 3 s" in str(leader.exception())
                assert not lease.held
                await until(lambda: "two leads" in log, what="the second to take over")
            assert log[:4] == ["leads", "lost", "ends", "two leads"]


async def test_short_outage_costs_nothing(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """A server that is back before the deadline finds its leader in place."""
    log: list[str] = []
    async with Proxy(control_plane.kubeconfig) as proxy, connected(proxy.kubeconfig(tmp_path)) as client:
        lease = Lease(client, namespace=namespace, identity="one", **TIMES)
        async with running(lead(lease, log)):
            for _ in range(2):
                await until(lambda: lease.held, what="it to lead")
                await proxy.cut()
                await asyncio.sleep(TIMES["deadline"] / 2)  # the outage
                await proxy.restore()
                await asyncio.sleep(TIMES["deadline"])  # past the deadline of the last renewal before it
                assert lease.held
            assert log == ["one leads"]


async def test_lease_taken_by_force_is_lost(
    candidate: Candidate, kubectl: Kubectl, namespace: str, holder: Callable[[], Awaitable[str]]
) -> None:
    """Whoever finds another's name in its lease stops, and leaves the other's name there."""
    log: list[str] = []
    async with running(lead(candidate("one"), log)) as (leader,):
        await until(lambda: log, what="it to lead")
        patch = '{"spec": {"holderIdentity": "administrator"}}'
        await asyncio.to_thread(kubectl, "patch", "lease", "hypersweep", "-n", namespace, "--type=merge", "-p", patch)
        await until(leader.done, what="the loss to be noticed")
        assert "taken by administrator" in str(leader.exception())
    assert await holder() == "administrator"


async def test_touched_or_deleted_lease_is_renewed(candidate: Candidate, kubectl: Kubectl, namespace: str) -> None:
    """An annotation, or even a deletion, by somebody who does not want to lead changes nothing."""
    log: list[str] = []
    lease = candidate("one")
    async with running(lead(lease, log)):
        await until(lambda: lease.held, what="it to lead")
        uid = lease.uid
        await asyncio.to_thread(kubectl, "annotate", "lease", "hypersweep", "-n", namespace, "note=touched")
        await asyncio.sleep(TIMES["deadline"] + 0.5)
        assert lease.held
        await asyncio.to_thread(kubectl, "delete", "lease", "hypersweep", "-n", namespace)
        await until(lambda: lease.uid != uid, what="the Lease to be made anew")
        await asyncio.sleep(TIMES["deadline"] + 0.5)
        assert lease.held
        assert log == ["one leads"]


async def test_all_leases_are_held_or_none_is_used(
    api: ApiClient,
    kubectl: Kubectl,
    namespace: str,
    holder: Callable[[], Awaitable[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With several namespaces the body waits for the last, says for whom, and the loss of one ends it for all."""
    log: list[str] = []
    other = f"{namespace}-2"
    kubectl("create", "namespace", other)
    leases = [Lease(api, namespace=name, identity="one", **TIMES) for name in (other, namespace)]
    rival = Lease(api, namespace=other, identity="rival", **TIMES)

    async def body() -> None:
        async with leadership(leases):
            log.append("leads")
            await asyncio.Event().wait()

    async with running(lead(rival, log)) as (rivals,):
        await until(lambda: rival.held, what="the rival to lead")
        async with running(body()) as (leader,):
            await asyncio.sleep(TIMES["deadline"] + 0.5)  # the first is renewed while the second is waited for
            assert leases[1].held
            assert log == ["rival leads"]
            assert f"waiting for lease {other}/hypersweep: held by rival" in caplog.text
            rivals.cancel()
            await until(lambda: "leads" in log, what="all to be held")
            patch = '{"spec": {"holderIdentity": "administrator"}}'
            await asyncio.to_thread(kubectl, "patch", "lease", "hypersweep", "-n", other, "--type=merge", "-p", patch)
            await until(leader.done, what="the loss of one to end all")
            assert isinstance(leader.exception(), LeadershipLost)
    assert await holder() == ""
    kubectl("delete", "namespace", other, "--wait=false")


async def test_error_of_the_body_comes_through_and_the_lease_is_let_go(
    candidate: Candidate, holder: Callable[[], Awaitable[str]]
) -> None:
    """What goes wrong while leading is raised as it is, not in a group, and the next need not wait."""
    with pytest.raises(ZeroDivisionError):
        async with leadership([candidate("one")]):
            raise ZeroDivisionError
    assert await holder() == ""


async def test_few_rights_are_enough(
    kubectl: Kubectl,
    namespace: str,
    service_account_kubeconfig: ServiceAccountKubeconfig,
    holder: Callable[[], Awaitable[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Get, create and update on leases suffice; without them it says what is missing, and starts once granted."""
    kubectl("create", "serviceaccount", "operator", "-n", namespace)
    log: list[str] = []
    async with connected(service_account_kubeconfig(namespace, "operator")) as client:
        lease = Lease(client, namespace=namespace, identity="one", **TIMES)
        async with running(lead(lease, log)):
            await until(lambda: 'cannot get resource "leases"' in caplog.text, what="the missing right to be named")
            rights = ("--verb=get,create,update", "--resource=leases.coordination.k8s.io")
            await asyncio.to_thread(kubectl, "create", "role", "r", "-n", namespace, *rights)
            await asyncio.to_thread(
                kubectl,
                "create",
                "rolebinding",
                "r",
                "-n",
                namespace,
                "--role=r",
                f"--serviceaccount={namespace}:operator",
            )
            await until(lambda: log, what="it to lead")
            await asyncio.sleep(TIMES["deadline"] + 0.5)
            assert lease.held
    assert await holder() == ""


async def test_never_two_at_once(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """Three candidates, each behind a network of its own that fails at random: leaderships follow each other."""
    chance = random.Random(7)
    leading: set[str] = set()
    turns: list[str] = []

    async def compete(lease: Lease) -> None:
        while True:
            try:
                async with leadership([lease]):
                    assert not leading, f"{lease.identity} begins while {leading} still leads"
                    leading.add(lease.identity)
                    turns.append(lease.identity)
                    try:
                        await asyncio.sleep(chance.uniform(1, 6))
                    finally:
                        leading.discard(lease.identity)
            except LeadershipLost:
                turns.append("lost")
            await asyncio.sleep(1)  # let the others have a turn

    async with AsyncExitStack() as stack:
        proxies: dict[str, Proxy] = {}
        leases = []
        for identity in ("one", "two", "three"):
            proxies[identity] = await stack.enter_async_context(Proxy(control_plane.kubeconfig))
            client = await stack.enter_async_context(connected(proxies[identity].kubeconfig(tmp_path)))
            leases.append(Lease(client, namespace=namespace, identity=identity, **TIMES))
        async with running(*(compete(lease) for lease in leases)) as tasks:
            for _ in range(10):
                proxy = proxies[chance.choice([*leading, *proxies])]
                if chance.random() < 0.5:
                    await proxy.cut()
                proxy.swallow()
                await asyncio.sleep(chance.uniform(0.5, 3.5))
                await proxy.restore()
            while "lost" not in turns:  # chance may never have cut a leader off for long enough
                await until(lambda: leading, what="one to lead")
                (leader,) = leading
                proxies[leader].swallow()
                await until(lambda leader=leader: leader not in leading, what=f"{leader} to lose or leave the lease")
                await proxies[leader].restore()
            failed = [task.exception() for task in tasks if task.done()]
            assert not failed
    assert len({*turns} - {"lost"}) >= 2, "the lease went round"
