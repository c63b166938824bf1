"""Traces each named model as one graph and exports it; prints as JSON how far both are from the model itself."""

import json
import tempfile
from pathlib import Path

import onnxruntime
import torch

from tests.support.zoo_cases import EXPORTED, settled_model, some_clips


def exported_error(model, clips):
    """Against eager, for batches of another size than the exported one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            model, (some_clips(2),), dynamo=True, dynamic_shapes={"clips": {0: "batch"}}, verbose=False
        )
        program.save(str(file))
        session = onnxruntime.InferenceSession(file)
        name = session.get_inputs()[0].name
        errors = []
        for batch in (clips, clips[:1]):
            (logits,) = session.run(None, {name: batch.numpy()})
            errors.append((torch.from_numpy(logits) - model(batch)).abs().max().item())
        return max(errors)


def main(names):
    torch.set_num_threads(1)
    found = {}
    for name in names:
        torch.compiler.reset()  # all share a forward, and of one function only so many graphs are made
        model, clips = settled_model(name), some_clips(3)
        with torch.no_grad():
            compiled = torch.compile(model, backend="eager", fullgraph=True)
            found[name] = {"compiled": (compiled(clips) - model(clips)).abs().max().item()}
            if name in EXPORTED:
                found[name]["exported"] = exported_error(model, clips)
    print(json.dumps(found))
