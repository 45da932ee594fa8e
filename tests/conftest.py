"""What every test may rely on: a clean environment, a scale, the corpus if there is one, no silent skips.

SLUICE_REQUIRE_ALL=1   a skip is a failure; the one permitted reason is a missing corpus
SLUICE_SCALE=N         how many kills, mutants, files and repeats; above 1 the long Hypothesis profile
SLUICE_CORPUS=DIR      real media files with ground truth
SLUICE_TEST_AMQP_URL   a RabbitMQ to use instead of one of our own
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.brokers import Broker

REQUIRE_ALL = os.environ.get("SLUICE_REQUIRE_ALL") == "1"
SCALE = int(os.environ.get("SLUICE_SCALE", "1"))
FOREIGN = ("SLUICE_", "XDG_", "RABBITMQ_", "DATA_DIR", "INSTANCE_ID", "MAX_CONCURRENT_", "FILE_WATCHER_")
"""Variables that say how to run it; those of whoever runs the tests are not meant."""

CORPUS = os.environ.get("SLUICE_CORPUS")
NO_CORPUS = "no corpus: SLUICE_CORPUS does not name a directory"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

# deadline: a busy machine is not a wrong answer. derandomize: the same commit gives the same verdict.
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("long", max_examples=5_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("long" if SCALE > 1 else "ci")


def pytest_report_header() -> str:
    return (
        f"sluice: scale {SCALE}, corpus {CORPUS or 'none'}, {'root' if IS_ROOT else 'not root'}, "
        f"{'a skip is a failure' if REQUIRE_ALL else 'skips are listed at the end'}"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not IS_ROOT:
        for item in items:
            if item.get_closest_marker("needs_root"):
                item.add_marker(pytest.mark.skip(reason="only root may do that"))


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where everything is required; an expected failure stays what it is."""
    if not REQUIRE_ALL or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if NO_CORPUS not in reason:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which SLUICE_REQUIRE_ALL=1 forbids. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.fixture(autouse=True)
def _usual_schedule() -> Iterator[None]:
    """No test leaves this process with a priority of its own: all that others start would inherit it."""
    yield
    if hasattr(os, "sched_getscheduler"):
        found = os.sched_getscheduler(0)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        assert found == os.SCHED_OTHER, "something made this process a real-time one"


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests reaches them, and nothing is written into their home."""
    ours = {"SLUICE_REQUIRE_ALL", "SLUICE_SCALE", "SLUICE_CORPUS", "SLUICE_TEST_AMQP_URL"}
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(FOREIGN) and name not in ours:
                patch.delenv(name)
        for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
            patch.setenv(name, str(home))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        yield


@pytest.fixture(scope="session")
def scale() -> int:
    """How much is asked for: multiply repeats, files and examples by it."""
    return SCALE


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The directory of real media files; a test that asks for it is skipped where there is none."""
    if CORPUS is None or not Path(CORPUS).is_dir():
        pytest.skip(NO_CORPUS)
    return Path(CORPUS)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ of our own, which may be killed; one for all tests, each with an exchange of its own."""
    from tests.brokers import running  # noqa: PLC0415 - only those tests need the driver

    with running(tmp_path_factory.mktemp("rabbitmq")) as broker:
        yield broker


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest) -> str:
    """The address of a RabbitMQ: the one that is given, else our own."""
    given = os.environ.get("SLUICE_TEST_AMQP_URL")
    return given or str(request.getfixturevalue("broker").url)
