"""Admission control: rate, queue, key, and the headers of every response."""

import asyncio
import concurrent.futures
import threading

import pytest
from fake_extractor import FakeExtractor

from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets, client_address


def test_a_bucket_refills_and_gives_the_time_to_retry():
    buckets = TokenBuckets(per_minute=60, burst=3)
    for _ in range(3):
        buckets.consume("a", now=0.0)
    with pytest.raises(APIError) as error:
        buckets.consume("a", now=0.2)
    assert (error.value.status, error.value.retry_after) == (429, 1)
    buckets.consume("b", now=0.2)
    buckets.consume("a", now=1.3)
    with pytest.raises(APIError):
        buckets.consume("a", now=1.3)


def test_buckets_of_many_clients_stay_bounded():
    buckets = TokenBuckets(per_minute=60, burst=3, max_clients=100)
    for i in range(1000):
        buckets.consume(str(i), now=0.0)
    assert len(buckets._buckets) == 100


def test_a_limiter_never_admits_more_than_its_slots_and_queue():
    async def scenario():
        limiter = ConcurrencyLimiter("short", slots=2, queue_size=3, timeout=5)
        peak = inside = 0
        refused: list[APIError] = []

        async def one():
            nonlocal peak, inside
            try:
                async with limiter.queue(), limiter.slot():
                    inside += 1
                    peak = max(peak, inside)
                    await asyncio.sleep(0.02)
                    inside -= 1
            except APIError as e:
                refused.append(e)

        await asyncio.gather(*(one() for _ in range(12)))
        return peak, refused, limiter._admitted

    peak, refused, left = asyncio.run(scenario())
    assert (peak, len(refused), left) == (2, 7, 0)
    assert {e.status for e in refused} == {429}
    assert all(e.retry_after >= 1 for e in refused)


def test_a_request_that_waits_too_long_for_a_slot_gets_429():
    async def scenario():
        limiter = ConcurrencyLimiter("short", slots=1, queue_size=3, timeout=0.05)
        async with limiter.queue(), limiter.slot():
            with pytest.raises(APIError, match="waited"):
                async with limiter.queue(), limiter.slot():
                    pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("forwarded", "hops", "client"),
    [
        ("", 1, "peer"),
        ("1.1.1.1", 0, "peer"),
        ("1.1.1.1", 1, "1.1.1.1"),
        ("9.9.9.9, 1.1.1.1", 1, "1.1.1.1"),
        ("9.9.9.9, 1.1.1.1, 2.2.2.2", 2, "1.1.1.1"),
        ("1.1.1.1", 2, "peer"),
    ],
)
def test_forwarded_addresses_count_only_from_trusted_proxies(forwarded, hops, client):
    assert client_address({"x-forwarded-for": forwarded}, "peer", hops) == client


def test_over_the_rate_is_429_at_once_and_polling_is_free(served, loop):
    with served(rate_per_minute=1, burst=2) as client:
        answers = [client.post("/extract", content=loop) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 1
        assert client.get("/jobs/x").status_code == 404
        assert client.get("/state").status_code == 200


def test_a_full_queue_is_429_at_once_and_the_rest_is_served(served, loop):
    release = threading.Event()

    class Held(FakeExtractor):
        def extract_blocks(self, blocks, **settings):
            release.wait(60)
            return super().extract_blocks(blocks, **settings)

    with served(Held(), concurrency=1, queue=2, wait_seconds=120) as client:
        release.set()
        client.app.state.dose.manager.models_for()
        release.clear()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(client.post, "/extract", content=loop) for _ in range(8)]
            # Five are refused while nobody is served: they cannot have waited for a slot.
            done = concurrent.futures.as_completed(sent, timeout=50)
            refused = [next(done).result() for _ in range(5)]
            release.set()
            rest = [answer.result() for answer in done]
    assert [a.status_code for a in refused] == [429] * 5
    assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
    assert [a.status_code for a in rest] == [200] * 3


def test_the_key_protects_extraction_and_jobs_only(served, loop, monkeypatch):
    with served() as first:
        pass
    monkeypatch.setenv("DOSE_API_KEY", "s3cret")
    with first as client:
        refused = client.post("/extract", content=loop)
        assert refused.status_code == 401
        assert "X-API-Key" in refused.json()["error"]
        assert client.post("/jobs", content=loop, headers={"x-api-key": "wrong"}).status_code == 401
        assert client.post("/extract", content=loop, headers={"x-api-key": "s3cret"}).status_code == 200
        bearer = {"authorization": "Bearer s3cret"}
        assert client.post("/extract", content=loop, headers=bearer).status_code == 200
        assert client.get("/").status_code == 200
        assert client.get("/state").json()["key_needed"] is True


def test_request_ids_are_kept_when_harmless(served):
    with served() as client:
        for offered, kept in [("my-id.1", True), ("a\tb", False), ("x" * 65, False), ("<script>", False)]:
            answer = client.post("/extract", content=b"", headers={"x-request-id": offered})
            assert (answer.headers["x-request-id"] == offered) is kept
            assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_other_sites_may_not_call_unless_named(served):
    ask = {"origin": "https://other.example", "access-control-request-method": "POST"}
    with served() as client:
        assert "access-control-allow-origin" not in client.options("/extract", headers=ask).headers
    with served(cors_origins=["https://other.example"]) as client:
        allowed = client.options("/extract", headers=ask)
        assert allowed.headers["access-control-allow-origin"] == "https://other.example"
        ask["origin"] = "https://evil.example"
        assert "access-control-allow-origin" not in client.options("/extract", headers=ask).headers


def test_a_bug_is_a_500_with_an_id_and_without_a_traceback(served, loop):
    class Broken(FakeExtractor):
        def extract_blocks(self, *args, progress=None, **options):
            if progress:
                raise ZeroDivisionError("secret path /etc")
            return super().extract_blocks(*args, **options)

    with served(Broken()) as client:
        answer = client.post("/extract", content=loop)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"]


def test_pages_carry_headers_that_keep_other_sites_out(served):
    with served() as client:
        page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in page.text.replace("http://www.w3.org", "")
