"""The job store: jobs survive a restart, keep their order, and never run twice at once."""

import threading
import time

import pytest

from dose.errors import DoseError
from serving.jobs.store import JobStore


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "jobs"


def add(store: JobStore) -> str:
    return store.add({"seed": 1}, 2.5, lambda f: (f / "song").write_bytes(b"x") and None).id


def test_jobs_survive_and_keep_their_order(folder):
    store = JobStore(folder, attempts=2)
    jobs = [add(store) for _ in range(3)]
    store.close()
    store = JobStore(folder, attempts=2)
    claimed = [store.claim().id for _ in range(3)]
    assert claimed == jobs
    assert store.claim() is None
    assert store.get(jobs[0]).options == {"seed": 1}
    assert (store.path(jobs[0]) / "song").read_bytes() == b"x"
    store.close()


def test_a_job_that_ran_at_the_crash_runs_again_and_in_the_end_fails_with_a_reason(folder):
    store = JobStore(folder, attempts=2)
    job = add(store)
    for _ in range(2):
        assert store.get(job).state == "queued"
        assert store.claim().id == job
        store.close()  # as a crash would, without ending the run
        store = JobStore(folder, attempts=2)
    found = store.get(job)
    assert found.state == "failed"
    assert "stopped 2 times" in found.error
    store.close()


def test_a_requeued_run_is_no_attempt(folder):
    store = JobStore(folder, attempts=1)
    job = add(store)
    store.requeue(store.claim())
    assert store.get(job).state == "queued"
    assert store.claim().attempts == 1
    store.close()


def test_an_abandoned_run_cannot_end_the_next_one(folder):
    store = JobStore(folder, attempts=3)
    add(store)
    first = store.claim()
    store.end(first, "failed", "too long")
    store.retry(first.id)
    store.requeue(store.claim())
    second = store.claim()
    assert second.attempts == first.attempts
    assert store.end(second, "done")
    assert not store.end(first, "failed", "late")
    assert store.get(first.id).state == "done"
    store.close()


def test_one_folder_has_one_owner(folder):
    store = JobStore(folder, attempts=2)
    with pytest.raises(DoseError, match="DOSE_STATE"):
        JobStore(folder, attempts=2)
    store.close()
    JobStore(folder, attempts=2).close()


def test_a_failed_upload_leaves_nothing(folder):
    store = JobStore(folder, attempts=2)

    def full_disk(path):
        (path / "song").write_bytes(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        store.add({}, 1.0, full_disk)
    assert [p for p in folder.iterdir() if p.is_dir()] == []
    assert store.waiting() == 0
    store.close()


def test_folders_without_a_row_are_deleted_at_start(folder):
    JobStore(folder, attempts=2).close()
    (folder / "orphan").mkdir()
    (folder / "orphan" / "song").write_bytes(b"x")
    store = JobStore(folder, attempts=2)
    assert not (folder / "orphan").exists()
    store.close()


def test_ended_jobs_expire_and_queued_ones_do_not(folder):
    store = JobStore(folder, attempts=2)
    done, waiting = add(store), add(store)
    store.end(store.claim(), "done")
    store.expire(time.time() + 1)
    assert store.get(done) is None
    assert not store.path(done).exists()
    assert store.get(waiting).state == "queued"
    store.close()


def test_no_job_is_claimed_twice(folder):
    store = JobStore(folder, attempts=2)
    jobs = {add(store) for _ in range(40)}
    claimed: list[str] = []

    def work():
        while job := store.claim():
            claimed.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(jobs)
    store.close()
