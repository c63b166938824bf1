"""`fer` (PyPI) on frames: detect with OpenCV's own detector and read each, as its documentation shows.

Runs in an environment of its own: `pip install fer==25.10.3 tensorflow-cpu 'opencv-contrib-python<5' 'setuptools<80'`.
Arguments: a file of raw frames (BGR), width, height, rounds. Prints JSON: seconds of each round, frames with a face.
"""

import json
import sys
import time

import cv2
import numpy as np
import tensorflow as tf
from fer.fer import FER

file, width, height, rounds = sys.argv[1], *map(int, sys.argv[2:])
cv2.setNumThreads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
frames = np.fromfile(file, np.uint8).reshape(-1, height, width, 3)
detector = FER()
seconds, found = [], 0
for _ in range(rounds + 1):
    began = time.perf_counter()
    found = sum(bool(detector.detect_emotions(frame)) for frame in frames)
    seconds.append(time.perf_counter() - began)
print(json.dumps({"frames": len(frames), "with_face": found, "seconds": seconds[1:], "opencv": cv2.__version__}))
