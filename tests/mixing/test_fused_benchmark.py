"""The benchmark of mixing, at toy size."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks import mixing
from midas_dfer.mixing.fused import mix_and_normalize


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_plain_formulas_compute_what_the_fused_way_does() -> None:
    clips, plan, crops = mixing.make_batch((4, 2, 3, 24, 24))
    torch.testing.assert_close(mixing.plain(clips, plan), mix_and_normalize(clips, plan), rtol=0, atol=2e-6)
    fused = mix_and_normalize(clips, plan, crops=crops)
    # torch's own float32 interpolation is the less exact one.
    torch.testing.assert_close(mixing.plain_with_crops(clips, plan, crops), fused, rtol=0, atol=1e-4)


def test_peers_that_are_not_there_have_a_line_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(clips: torch.Tensor, labels: torch.Tensor) -> tuple[str, mixing.Work]:
        raise ModuleNotFoundError("No module named 'peer'")

    def present(clips: torch.Tensor, labels: torch.Tensor) -> tuple[str, mixing.Work]:
        return "peer 1.0", lambda: clips.float()

    monkeypatch.setattr(mixing, "PEERS", {"absent": absent, "present": present})
    results, versions = mixing.bench_cpu((2, 1, 3, 8, 8), threads=1, n=2)
    assert versions == {"absent": "not measured: ModuleNotFoundError: No module named 'peer'", "present": "peer 1.0"}
    names = [result["what"] for result in results]
    assert "present" in names
    assert "absent" not in names
    assert all(float(result["GB/s"]) > 0 for result in results)
    plain = results[names.index(mixing.PLAIN)]
    assert plain["times as fast"] == 1.0
