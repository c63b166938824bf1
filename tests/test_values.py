"""Values of another kind than is taken, given from Python.

The tests check all annotations when a function is called, which would come before the project's own sentences: so these
are called in a process of their own, as users call them.
"""

import numpy as np
import torch

from midas_dfer.values import is_number, is_whole
from tests.support.processes import run_program

REFUSED = {
    "check_windows({}, 0.5)": "expected a number of seconds",
    "check_windows(2.0, {})": "expected a number of seconds",
    "ExtractSettings(min_score={})": "expected a number from 0 to 1",
    "ExtractSettings(max_side={})": "expected a whole number from 64",
    "find_faces(picture, min_score={})": "a confidence from 0 to 1",
    "find_faces(picture, max_side={})": "a whole number of pixels",
    "align(picture, points, size={})": "a whole number of pixels",
    "sample_segments({})": "must be whole numbers",
    "MIDAS(alpha={})": "expected a positive number",
    "MIDAS(temperature={})": "expected a positive number",
    "Cutout(size={})": "expected a fraction",
    "SoftTargetCrossEntropy(label_smoothing={})": "expected a share",
    "IntensityAwareLoss(weight={})": "expected 0 or more",
    "RunConfig(epochs={})": "`epochs` is ",
    "RunConfig(dropout={})": "expected a number from 0 to 0.99",
    "RunConfig(labels={})": "expected soft or hard",
    "create_model('still_resnet10', {})": "expected at least 1",
    "create_model('still_resnet10', 7, dropout={})": "expected a probability",
    "align(picture, points, template={})": "predictor.info.template",
    "choose_device({})": "expected auto, cpu or cuda",
    "Predictor.from_pretrained({})": "a trained model is named by its folder",
    "MixCollate({})": "expected one such as MIDAS()",
    "SoftTargetCrossEntropy()({}, shares)": "expected a tensor [B, K]",
    "SoftTargetCrossEntropy()(shares, {})": "expected a tensor [B, K]",
    "implied_vote_shares({})": "expected a tensor",
}
"""What is called with each of `NO_VALUES`, and what the sentence says."""
NO_VALUES = ["None", "True", "[0.5]", "1j", "b'1'", "np.array([0.5, 0.5])", "{}", "float('nan')"]
OTHERS = {
    "check_windows('2', 0.5)": "window_seconds is '2'",
    "RunConfig(alpha=-1)": "`alpha` is -1; expected a number above 0 or nothing",
    "RunConfig(epochs=10**6000)": "`epochs` is larger than 9.2e+18; expected a smaller number",
    "RunConfig(epochs=0, seed=-1)": "`epochs` is 0; expected a whole number from 1 to 1,000,000",
    "RunConfig(seed=-1)": "`seed` is -1; expected a whole number of 0 or more",
    "RunConfig(scales=[2])": "`scales` is (2,); expected numbers from 0.1 to 1",
    "RunConfig(decay_factor=2)": "expected a number above 0, at most 1",
    "align(picture, points, size=112.5)": "A crop of side 112.5",
    "align(picture, points, size=10**6)": "1 to 8192",
    "align(picture, [[1, 2], [3]])": "its five landmarks [5, 2]",
    "choose_device('gpu')": "the device is 'gpu'",
    "MixCollate(MIDAS())([])": "no samples",
    "votes_to_soft_labels([['7', '3']])": "not a table of numbers",
    "majority_labels([[True, False]])": "not a table of numbers",
    "next(iter_frames('a.mp4', pixel_format='RGB24'))": "expected rgb24 or bgr24",
    "next(iter_frames('a.mp4', pixel_format=None))": "expected rgb24 or bgr24",
    "next(iter_frames('a.mp4', wanted=[0, 1]))": "expected a function",
}
PROGRAM = """
import numpy as np, torch
from midas_dfer import *
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.mixing.collate import MixCollate
from midas_dfer.mixing.cutout import Cutout
from midas_dfer.predict.windows import check_windows
from midas_dfer.training.devices import choose_device
picture, points = np.zeros((90, 90, 3), np.uint8), np.array([[30, 30], [60, 30], [45, 45], [35, 60], [55, 60]])
shares = torch.full((1, 2), 0.5)
for call, words in CALLS:
    try:
        print(call, "gives", eval(call))
    except RequestError as error:
        if words not in str(error):
            print(call, "says", error)
    except Exception as error:
        print(call, "raises", repr(error))
given = RunConfig(epochs=np.int64(3), dropout=np.float32(0.5), size=torch.tensor(64), scales=[1, 0.5], mixer="none")
if RunConfig.from_dict(given.to_dict()) != given or "scales:\\n- 1.0" not in given.to_yaml():
    print("numbers of other libraries are not written", given)
"""


def test_numbers_of_all_libraries_are_numbers():
    assert all(map(is_number, (1, 0.5, np.float32(0.5), np.int64(1), torch.tensor(0.5), np.array(0.5))))
    assert not any(map(is_number, ("0.5", None, True, [0.5], 1j, np.array([0.5]))))
    assert all(map(is_whole, (1, np.int64(1), torch.tensor(1))))
    assert not any(map(is_whole, ("1", None, True, 1.0, 0.5)))


def test_values_of_another_kind_are_refused_in_a_sentence():
    calls = [(call.replace("{}", value), words) for call, words in REFUSED.items() for value in NO_VALUES]
    calls = [each for each in calls if each[0] != "align(picture, points, template=None)"]
    program = PROGRAM.replace("CALLS", repr([*calls, *OTHERS.items()]))
    done = run_program(program)
    assert done.stdout == "", done.stdout
    assert done.returncode == 0, done.stderr
