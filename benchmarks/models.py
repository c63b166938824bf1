"""`make bench-models`: what each network of the zoo costs, and how many clips a second it learns from and reads.

Every network works on clips of its publication's length and size: one at a time when it reads, `--batch` of them in a
step of training (forward, soft cross-entropy, backward, SGD). All networks are called in turn, round after round, so
that what else the machine does falls on all alike. On a CPU that is one thread; where there is a GPU it is used too,
with `--gpu_batch` clips. `--traces` also compiles each network (torch.compile, one whole graph) and exports it to ONNX
at that size, and writes down how far both are from the network itself. `--models` measures some alone and leaves what
`--out` holds of the others as it is; the page says which were measured apart.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor, nn

from benchmarks.machine import machine
from midas_dfer.losses import SoftTargetCrossEntropy
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.models.cost import model_cost
from midas_dfer.models.packaged import HasPackagedWeights
from midas_dfer.models.zoo import architecture, create_model, list_models

NUM_CLASSES = 7
MARK = "<!-- From here on written by `make bench-models`; do not edit. -->"
Result = dict[str, Any]
KINDS = ("read_fp32", "read_bf16", "train_fp32", "train_bf16")


class Measured:
    """One network on one device, and the times that were taken of it."""

    def __init__(self, name: str, device: torch.device, batch: int) -> None:
        entry = architecture(name)
        self.name, self.device = name, device
        generator = torch.Generator().manual_seed(0)
        self.model = create_model(name, NUM_CLASSES, generator=generator).to(device)
        lay_out_for_speed(self.model)
        shape = (batch, entry.num_frames, 3, entry.size, entry.size)
        self.clips = torch.randn(shape, generator=generator).to(device)
        self.targets = torch.rand(batch, NUM_CLASSES, generator=generator).softmax(dim=1).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)
        self.rates: dict[str, list[float]] = {kind: [] for kind in KINDS}

    def once(self, kind: str) -> float:
        """Clips per second of one pass."""
        bfloat16 = kind.endswith("bf16")
        reading = kind.startswith("read")
        clips = self.clips[:1] if reading and self.device.type == "cpu" else self.clips
        self.model.train(not reading)
        self._wait()
        start = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            if reading:
                with torch.inference_mode():
                    self.model(clips)
            else:
                loss = SoftTargetCrossEntropy()(self.model(clips), self.targets)
        if not reading:
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        self._wait()
        return len(clips) / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measure(names: tuple[str, ...], rounds: int, batch: int, device: torch.device) -> dict[str, Result]:
    """Rates of each network: all in turn, round after round, each pass once to warm up and once to count."""
    results: dict[str, Result] = {name: {kind: [] for kind in KINDS} for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            measured = Measured(name, device, batch)  # made again: all at once would not fit into memory
            for kind in KINDS:
                measured.once(kind)
                results[name][kind].append(measured.once(kind))
            print(f"round {number} of {rounds}: {name}", file=sys.stderr, flush=True)
    for kinds in results.values():
        for kind, rates in kinds.items():
            kinds[kind] = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}
    return results


def traces(name: str) -> Result:
    """How far the compiled and the exported network are from the network itself; both of float32, on the CPU."""
    import onnxruntime

    entry = architecture(name)
    generator = torch.Generator().manual_seed(0)
    model = create_model(name, NUM_CLASSES, generator=generator).eval()
    if isinstance(model, HasPackagedWeights):
        model.load_packaged()  # with random ones the maps of these trunks all but vanish
    _spread(model, generator)
    clips = torch.randn(3, entry.num_frames, 3, entry.size, entry.size, generator=generator)
    torch.compiler.reset()  # what it has learned of other networks' shapes would make these dynamic
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        expected: Tensor = model(clips)
        compiled = torch.compile(model, fullgraph=True)(clips)
        file = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            model, (clips[:2],), dynamo=True, dynamic_shapes={"clips": {0: "batch"}}, verbose=False
        )
        program.save(str(file))
        session = onnxruntime.InferenceSession(file)
        exported = session.run(None, {session.get_inputs()[0].name: clips.numpy()})[0]
    return {
        "largest_logit": expected.abs().max().item(),
        "compiled": (compiled - expected).abs().max().item(),
        "exported": (torch.from_numpy(exported) - expected).abs().max().item(),
    }


def _spread(model: nn.Module, generator: torch.Generator) -> None:
    """Give the classifier weights of a trained one's size: its initial ones make all logits nearly 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.out_features == NUM_CLASSES:
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)


def page(found: dict[str, Any]) -> str:
    """The measured part of docs/models.md."""
    on_cpu, on_gpu = found["cpu"], found.get("gpu", {})
    measured_on = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    lines = [
        "## What each costs",
        "",
        f"{NUM_CLASSES} classes, clips of the publication's length and size (frames x side), random weights. GFLOP:",
        "thousand million multiply-adds of one clip. Clips a second on one thread, median (lowest to highest) of",
        f"{on_cpu['rounds']} rounds, in which all networks took turns; reading: one clip at a time; learning: forward,",
        f"loss, backward and an SGD step on {on_cpu['batch']} clips.",
        f"Measured on: {measured_on}; load average before: {found['load_before']}.",
        *_apart(found),
        "",
        "| model | clip | parameters | GFLOP | reads, fp32 | reads, bf16 | learns, fp32 | learns, bf16 |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, cost in found["costs"].items():
        lines.append(
            f"| `{name}` | {cost['num_frames']} x {cost['size']} | {cost['parameters'] / 1e6:.1f} M "
            f"| {cost['multiply_adds'] / 1e9:.1f} | {_rates(on_cpu['results'][name])} |"
        )
    if on_gpu:
        lines += [
            "",
            f"Clips a second on one {on_gpu['device']}, reading and learning in batches of {on_gpu['batch']}:",
            "",
            "| model | reads, fp32 | reads, bf16 | learns, fp32 | learns, bf16 |",
            "|---|---:|---:|---:|---:|",
        ]
        lines += [f"| `{name}` | {_rates(kinds)} |" for name, kinds in on_gpu["results"].items()]
    if found.get("traces"):
        lines += [
            "",
            "## Compiled and exported",
            "",
            "The greatest difference of three clips' logits from the network itself, in float32 on the CPU, at the",
            "published width, length and size: `torch.compile(model, fullgraph=True)`, and ONNX (exported with two",
            "clips and a dynamic batch axis, run by onnxruntime).",
            "",
            "| model | largest logit | compiled | ONNX |",
            "|---|---:|---:|---:|",
        ]
        for name, errors in found["traces"].items():
            lines.append(
                f"| `{name}` | {errors['largest_logit']:.2f} | {errors['compiled']:.1e} | {errors['exported']:.1e} |"
            )
    return "\n".join(lines) + "\n"


def _apart(found: dict[str, Any]) -> list[str]:
    return [
        f"`{name}` was measured apart: {how['rounds']} rounds, load average before: {how['load_before']}"
        + ("." if how["machine"] == found["machine"] else f", {how['machine']}.")
        for name, how in found.get("apart", {}).items()
    ]


def _rates(kinds: dict[str, dict[str, float]]) -> str:
    return " | ".join(_rate(kinds[kind]) for kind in KINDS)


def _rate(rate: dict[str, float]) -> str:
    digits = 0 if rate["median"] >= 100 else 1 if rate["median"] >= 2 else 2
    return f"{rate['median']:.{digits}f} ({rate['min']:.{digits}f} to {rate['max']:.{digits}f})"


def main() -> None:
    """Measure, print the tables, write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/models.json"))
    parser.add_argument("--page", type=Path, help="a page whose measured part is to be rewritten, docs/models.md")
    parser.add_argument("--models", nargs="+", default=list(list_models()), choices=list_models())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--gpu_batch", type=int, default=16)
    parser.add_argument("--traces", action="store_true")
    request = parser.parse_args()
    torch.set_num_threads(1)
    names = tuple(request.models)
    costs = {}
    for name in names:
        entry, cost = architecture(name), model_cost(name, num_classes=NUM_CLASSES)
        costs[name] = {
            "num_frames": entry.num_frames,
            "size": entry.size,
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "source": entry.source,
        }
    found: dict[str, Any] = {
        "machine": machine("torch", "midas-dfer"),
        "load_before": round(os.getloadavg()[0], 1),
        "costs": costs,
    }
    found["cpu"] = {
        "batch": request.batch,
        "rounds": request.rounds,
        "results": measure(names, request.rounds, request.batch, torch.device("cpu")),
    }
    if torch.cuda.is_available():
        found["gpu"] = {
            "device": torch.cuda.get_device_name(),
            "batch": request.gpu_batch,
            "rounds": request.rounds,
            "results": measure(names, request.rounds, request.gpu_batch, torch.device("cuda")),
        }
    if names != list_models() and request.out.is_file():
        found = _beside_others(json.loads(request.out.read_text()), found)
    write(found, request.out)
    if request.traces:
        found["traces"] = dict(found.get("traces", {}))
        for name in names:
            found["traces"] = dict(sorted({**found["traces"], name: traces(name)}.items()))
            write(found, request.out)
            print(f"traced {name}: {found['traces'][name]}", file=sys.stderr, flush=True)
    text = page(found)
    print(text)
    if request.page is not None:
        prose = request.page.read_text().partition(MARK)[0]
        request.page.write_text(f"{prose}{MARK}\n\n{text}")


def _beside_others(before: Result, found: Result) -> Result:
    """Put what was measured of some networks among what is known of all."""
    if before["cpu"]["batch"] != found["cpu"]["batch"] or ("gpu" in found) != ("gpu" in before):
        raise SystemExit("the other networks were measured otherwise: leave out --models, or name another --out")
    merged = {**before, "costs": dict(sorted({**before["costs"], **found["costs"]}.items()))}
    for kind in ("cpu", "gpu"):
        if kind in found:
            results = {**before[kind]["results"], **found[kind]["results"]}
            merged[kind] = {**before[kind], "results": dict(sorted(results.items()))}
    conditions = {"machine": found["machine"], "load_before": found["load_before"], "rounds": found["cpu"]["rounds"]}
    merged["apart"] = {**before.get("apart", {}), **dict.fromkeys(found["costs"], conditions)}
    return merged


def write(found: dict[str, Any], path: Path) -> None:
    """Write the figures down, so far as there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
