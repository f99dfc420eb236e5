"""A tensor's digest covers its values, type and shape, whatever its memory layout and device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bento_monitor.errors import ReleaseError
from bento_monitor.fingerprints import contents


def digest(tensor: Any) -> bytes:
    return contents.digest_contents([("a tensor", tensor)])[0]


BASE = torch.arange(24.0).reshape(4, 6)
SAME: dict[str, tuple[Any, Any]] = {
    "transposed": (BASE.t().contiguous(), BASE.t()),
    "a part": (BASE[1:3].clone(), BASE[1:3]),
    "every other": (BASE[:, ::2].contiguous(), BASE[:, ::2]),
    "expanded": (torch.ones(3, 2), torch.ones(1, 2).expand(3, 2)),
    "conjugated": (torch.tensor([1 - 2j]), torch.tensor([1 + 2j]).conj()),
    "negative view": (torch.tensor([-2.0]), torch.tensor([1 - 2j]).conj().conj().imag),
    "with gradients": (torch.ones(2), torch.ones(2, requires_grad=True)),
    "a parameter": (torch.ones(2), nn.Parameter(torch.ones(2))),
    "channels last": (torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4).to(memory_format=torch.channels_last)),
    "an array's order": (np.ones((2, 3)), np.ones((2, 3), order="F")),
}


def _kinds() -> list[Any]:
    return [
        *(torch.ones(2).to(dtype) for dtype in (torch.float64, torch.float32, torch.float16)),
        *(torch.ones(2).to(dtype) for dtype in (torch.bfloat16, torch.float8_e4m3fn)),
        *(torch.ones(2, dtype=dtype) for dtype in (torch.int64, torch.int8, torch.uint8, torch.bool, torch.complex64)),
        torch.tensor(1.0), torch.tensor([1.0]), torch.tensor([[1.0]]), torch.empty(0), torch.empty(0, 2), torch.empty(2,
        0), torch.eye(2).to_sparse(), torch.eye(2), (2 * torch.eye(2)).to_sparse(), torch.eye(2).to_sparse_csr(),
        torch.eye(2).to_sparse_csc(), torch.eye(4).to_sparse_bsr((2, 2)),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), torch.quantize_per_tensor(torch.ones(2), 0.2, 0,
        torch.qint8), torch.quantize_per_tensor(torch.ones(2), 0.1, 1, torch.qint8),
        torch.quantize_per_channel(torch.ones(2, 2), torch.tensor([0.1, 0.2]), torch.tensor([0, 0]), 0, torch.qint8),
        torch.quantize_per_channel(torch.ones(2, 2), torch.tensor([0.1, 0.3]), torch.tensor([0, 0]), 0, torch.qint8),
        np.ones(2), np.ones(2, np.float32), np.ones(2, ">f4"), np.array(["a", "b"]), np.array([], "f4"),
        np.array(1, np.float32),
    ]  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_memory_layout_does_not_matter(name: str) -> None:
    first, second = SAME[name]

    assert digest(first) == digest(second)


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:torch.quantize")
def test_types_shapes_and_layouts_have_different_digests() -> None:
    kinds = _kinds()

    assert len({digest(tensor) for tensor in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("tensor", "advice"),
    [
        (torch.ones(2, device="meta"), "load the weights before"),
        (nn.LazyLinear(2).weight, "call the model once"),
    ],
)
def test_tensor_without_values_is_refused(tensor: Any, advice: str, fingerprint: Any) -> None:
    model = nn.Module()
    model.inner = nn.Module()
    model.inner.register_parameter("weight", nn.Parameter(tensor) if tensor.is_meta else tensor)

    with pytest.raises(ReleaseError, match=rf"cannot be fingerprinted: inner\.weight .*{advice}"):
        fingerprint(model)


def test_tensor_larger_than_a_piece_is_hashed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PIECE_BYTES", 1 << 12)
    first = torch.zeros(100_000)
    digests = []
    for index in (0, 1023, 1024, 50_000, 99_999):
        changed = first.clone()
        changed[index] = 1
        digests.append(digest(changed))

    assert len({digest(first), *digests}) == 6


def test_swapped_pieces_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PIECE_BYTES", 1 << 12)
    first = torch.arange(2048.0)

    assert digest(first) != digest(torch.cat([first[1024:], first[:1024]]))


def test_more_threads_give_the_same_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [("a tensor", torch.full((1000, size), float(size))) for size in range(1, 400, 7)]
    together = contents.digest_contents(tensors)
    monkeypatch.setattr(contents, "_MAX_THREADS", 1)

    assert contents.digest_contents(tensors) == together


def test_tied_tensors_are_hashed_once_and_views_separately() -> None:
    base = torch.arange(6.0)
    tied, view, other = base.view(6), base.view(2, 3), base[:3]
    digests = contents.digest_contents([("t", t) for t in (base, tied, view, other)])

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_tensor_subclass_is_hashed_by_values_and_class(fingerprint: Any) -> None:
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise RuntimeError("called")

    def holder(tensor: torch.Tensor) -> nn.Module:
        model = nn.Module()
        model.table = tensor
        return model

    loud = [holder(torch.Tensor._make_subclass(Loud, torch.full((2,), value))) for value in (1.0, 1.0, 2.0)]
    plain = holder(torch.full((2,), 1.0))
    values = [fingerprint(model) for model in (*loud, plain)]

    assert values[0] == values[1]
    assert len(set(values)) == 3


@pytest.mark.usefixtures("gpu")
def test_model_on_a_gpu_has_the_same_fingerprint(build: Any, fingerprint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = fingerprint(build())
    moved = build().to("cuda")
    moved.device = torch.device("cuda")

    assert fingerprint(moved) == here
