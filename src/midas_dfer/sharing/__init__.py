"""A trained model on its way to other people: a folder as the Hugging Face Hub has it, its card, and ONNX.

- `folder`, `exported`: `save_pretrained`, and back; `card`: the model card; `onnx`: `export_onnx`.
- `trained`: a run, a folder or a reader's name -> the model. Door: `open_trained`.
- `hub`: models of the Hugging Face Hub, where they are asked for, and the way there.
- `ensemble`: several of them, or passes with dropout, read as one.
- `abstaining`: where the evaluation lies by which it is silent.
- `info`, `data`: what is said of a model and of its training data.
"""
