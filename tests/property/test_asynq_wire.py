from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.delivery.asynq.wire import Task, encode
from tests.asynq_reader import decoded

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
seconds = st.integers(-(1 << 63), (1 << 63) - 1)
tasks = st.builds(
    Task,
    type=texts,
    payload=st.binary(max_size=300),
    id=texts,
    queue=texts,
    retry=st.integers(-(1 << 31), (1 << 31) - 1),
    timeout=seconds,
    deadline=seconds,
    unique_key=st.just("") | texts,
    retention=seconds,
)


@given(tasks)
def test_what_is_written_can_be_read(task: Task) -> None:
    """Every field comes back, in ascending order, each number in its shortest form."""
    read = decoded(encode(task))
    assert {name: getattr(read, name) for name in task._fields} == task._asdict()


@pytest.fixture(scope="module")
def foreign() -> Any:
    """The message as Google's own library writes it, of a description of its own."""
    parts = [
        pytest.importorskip(f"google.protobuf.{part}", reason="no protobuf on this machine")
        for part in ("descriptor_pool", "descriptor_pb2", "message_factory")
    ]
    pool, descriptor_pb2, message_factory = parts
    text, data, int32, int64 = 9, 12, 5, 3
    kinds = {
        1: ("type", text), 2: ("payload", data), 3: ("id", text), 4: ("queue", text), 5: ("retry", int32),
        8: ("timeout", int64), 9: ("deadline", int64), 10: ("unique_key", text), 12: ("retention", int64),
    }  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="task.proto", package="asynq", syntax="proto3")
    message = file.message_type.add(name="TaskMessage")
    for number, (name, kind) in kinds.items():
        message.field.add(name=name, number=number, type=kind, label=1)
    made = pool.DescriptorPool()
    made.Add(file)
    return message_factory.GetMessageClass(made.FindMessageTypeByName("asynq.TaskMessage"))


@given(task=tasks)
def test_a_library_for_protocol_buffers_writes_the_same(foreign: Any, task: Task) -> None:
    """Byte for byte what Google's library writes for the same task."""
    assert encode(task) == foreign(**task._asdict()).SerializeToString(deterministic=True)
