import pytest

from dose.tracking import Tracker


@pytest.fixture
def tracker(own_store):
    tracker = Tracker("dose-test", root=own_store)
    tracker.ensure_store()
    return tracker
