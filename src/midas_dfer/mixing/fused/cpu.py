"""The fused mix on the CPU: OpenCV's `addWeighted` reads two uint8 planes and writes one float32 plane.

It takes the pixels through blocks of about a thousand values that stay in the first-level cache, so the batch
is read once and written once and no copy of it is made. Measured against the other ways that need nothing
but the dependencies we have (milliseconds, medians of 15, output already allocated, AMD EPYC; in two threads
each way takes clips in turn)::

                                                 8 x 8 x 3 x 224 x 224     32 x 8 x 3 x 112 x 112
                                                1 thread    2 threads      1 thread    2 threads
    addWeighted, one call per clip and channel      8.5         4.6            8.3         6.2
    addWeighted, one call per plane                 8.7         5.2            9.5         8.7
    np.copyto, cv2.accumulateWeighted, multiply     9.1         6.9            8.9        15.8
    np.copyto twice, addWeighted in float32         9.4         6.2            8.8        12.9
    copy_, mul_, add_, mul_, sub_ per frame        10.3        16.4           10.1        45.9
    np.multiply twice, np.add twice per plane      12.3         8.4           12.6        19.1
    torch.add(shift, x, alpha), 128 kB pieces      19.8        24.2           29.8        51.5
    plain formula, then the normalisation         219         128            175         154
    np.copyto of as many bytes                      2.5         1.8            1.5         1.8

The calls release the interpreter's lock, so threads can share a batch; many short calls wait for each other's
lock instead, as the last column shows. Hence threads only in float32 without crops, where one call does all
frames of a channel. With crops there are several calls per plane, and two threads took longer than one; half
precision is mixed in one thread and rounded by torch's own.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.mixing.fused.job import MixJob

_WORTH_A_THREAD = 1 << 20  # output values per thread; starting one takes as long as some 100,000 of them
_STAGED = 1 << 18  # float32 values that wait to be rounded to half precision: 1 MiB stays in the cache


def mix_on_cpu(job: MixJob) -> None:
    """Carry out a job whose tensors lie on the CPU.

    At most `torch.get_num_threads` threads take part. (OpenCV splits a resampling to 256 x 256 or more among
    threads of its own, as `cv2.setNumThreads` has it; that setting is the process's and is left alone.)
    """
    mixing = _Mixing(job)
    if job.crops is not None and job.partner_crops is not None:
        _mix_crops(job, mixing, job.crops, job.partner_crops)
    elif job.out.dtype == torch.float32 and job.out.is_contiguous():
        _mix_in_place(job, mixing)
    else:
        _mix_and_round(job, mixing)


class _Mixing:
    """A job as NumPy sees it."""

    def __init__(self, job: MixJob) -> None:
        self._job = job
        self.clips, self.partner_clips = job.clips.numpy(), job.partner_clips.numpy()
        self.partners, self.ratios = job.partner_rows.tolist(), job.ratio.tolist()

    def mix(self, row: int, channel: int, own: np.ndarray, other: np.ndarray, out: np.ndarray) -> None:
        """Mix and normalise planes of a channel of a clip; both uint8 or both float32, `out` float32."""
        scale, shift, ratio = self._job.scale[channel], self._job.shift[channel], self.ratios[row]
        first, second = ratio * scale, (1.0 - ratio) * scale
        cv2.addWeighted(own, first, other, second, -shift, dst=out, dtype=cv2.CV_32F)

    def fill(self, row: int, channel: int, frames: slice, out: Float32[np.ndarray, "T H W"]) -> None:
        """Mix and normalise some frames of a channel of a clip, as they are."""
        own, other = self.clips[row, frames, channel], self.partner_clips[self.partners[row], frames, channel]
        # Frames become rows: those of a clip lie its channels apart, which OpenCV takes as a row step.
        own, other, out = (planes.reshape(len(planes), -1) for planes in (own, other, out))
        self.mix(row, channel, own, other, out)


def _mix_in_place(job: MixJob, mixing: _Mixing) -> None:
    """Write float32 straight to its place, in several threads."""
    work = [(row, channel) for row in range(len(job.clips)) for channel in range(job.clips.shape[2])]
    threads = min(torch.get_num_threads(), len(work), 1 + job.out.numel() // _WORTH_A_THREAD)
    outs = job.out.numpy()

    def take_turns(start: int) -> None:
        for row, channel in work[start::threads]:
            mixing.fill(row, channel, slice(None), outs[row, :, channel])

    if threads == 1:
        take_turns(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(take_turns, range(threads)):
            pass


def _mix_and_round(job: MixJob, mixing: _Mixing) -> None:
    """Mix a few frames in float32 and let torch round them to half precision.

    That is twice as fast as OpenCV's and NumPy's own float16, and they have no bfloat16.
    """
    num_clips, num_frames, channels, height, width = job.out.shape
    step = min(num_frames, max(1, _STAGED // (channels * height * width)))
    staged = torch.empty((step, channels, height, width), dtype=torch.float32, device="cpu")
    for row in range(num_clips):
        for start in range(0, num_frames, step):
            out = job.out[row, start : start + step]
            for channel in range(channels):
                mixing.fill(row, channel, slice(start, start + step), staged[: len(out), channel].numpy())
            out.copy_(staged[: len(out)])


def _mix_crops(
    job: MixJob, mixing: _Mixing, crops: tuple[CropAndFlip, ...], partner_crops: tuple[CropAndFlip, ...]
) -> None:
    """Resample plane by plane, then mix.

    Rows are taken in an order in which each is followed by its partner, where that is of the same batch: the
    partner's resampled plane is then the next row's own, which saves almost half of the work.
    """
    shared = job.partner_clips is job.clips and partner_crops == crops
    order = _follow(mixing.partners) if shared else list(range(len(job.clips)))
    size = tuple(job.out.shape[-2:])
    own, other = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.float32)
    workspace = np.empty(mixing.clips[0, 0, 0].size, dtype=np.float32)
    rounded = job.out.dtype != torch.float32 or not job.out.is_contiguous()
    plane = torch.empty(size, dtype=torch.float32, device="cpu")
    for frame in range(job.clips.shape[1]):
        for channel in range(job.clips.shape[2]):
            held = None  # the row whose plane `own` holds
            for row in order:
                partner, out = mixing.partners[row], job.out[row, frame, channel]
                if held != row:
                    _resample(mixing.clips[row, frame, channel], crops[row], workspace, own)
                _resample(mixing.partner_clips[partner, frame, channel], partner_crops[partner], workspace, other)
                mixing.mix(row, channel, own, other, (plane if rounded else out).numpy())
                if rounded:
                    out.copy_(plane)
                if shared:
                    own, other, held = other, own, partner


def _follow(partners: Sequence[int]) -> list[int]:
    """Order the rows so that a row's partner comes next, unless it was there before."""
    order: dict[int, None] = {}
    for start in range(len(partners)):
        row = start
        while row not in order:
            order[row] = None
            row = partners[row]
    return list(order)


def _resample(
    plane: UInt8[np.ndarray, "H W"],
    crop: CropAndFlip,
    workspace: Float32[np.ndarray, " pixels"],
    out: Float32[np.ndarray, "height width"],
) -> None:
    part = plane[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    if crop.flip:
        part = cv2.flip(part, 1)  # a mirrored view would be copied far more slowly
    if part.shape == out.shape:
        np.copyto(out, part)
        return
    # OpenCV interpolates uint8 to uint8, so the crop becomes float32 before.
    floats = workspace[: part.size].reshape(part.shape)
    np.copyto(floats, part)
    cv2.resize(floats, out.shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
