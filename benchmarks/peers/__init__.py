"""What other libraries' mixers do, and ours, observed by running them.

``python -m benchmarks.peers --out benchmarks/results/peers.json --slowfast CHECKOUT`` runs every
check and writes docs/peers.md too.
The libraries go into an environment of their own, beside midas_dfer; what can't be imported there is reported with
the reason. ``--no-deps`` keeps their pins of torch out::

    pip install -c constraints.txt torch numpy safetensors pyyaml packaging pillow rich jaxtyping opencv-python-headless
    pip install -c constraints.txt huggingface_hub addict termcolor yapf iopath portalocker
    pip install --no-deps torchvision timm kornia kornia-rs mixup mmaction2 mmengine
    pip install --no-deps pytorchvideo fvcore openmixup mosaicml

PySlowFast's package on PyPI is older than its mixup; ``--slowfast`` names a checkout of its repository.
"""
