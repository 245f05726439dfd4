import pytest

from suite import Fleet, Listener, Tenant, one_replica, up


@pytest.fixture
def tenant():
    return Tenant()


@pytest.fixture
def fleet():
    """Makes fleets that are stopped when the test ends."""
    fleets = []

    def make(devices, *flags, **more):
        fleets.append(Fleet(devices, *flags, **more))
        return fleets[-1]

    yield make
    for one in fleets:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def listen():
    """Listens to topics until the test ends."""
    listeners = []

    def make(topic, *flags):
        listeners.append(Listener(topic, *flags))
        return listeners[-1]

    yield make
    for one in listeners:
        one.stop()


@pytest.fixture
def whole_stack():
    """One of each service, whatever a test killed or added, also when it failed."""
    yield
    one_replica()
    up()
