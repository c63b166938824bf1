"""A trained model on its way to other people: a folder as the Hugging Face Hub has it, its card, and ONNX."""
