"""All that is kept of one video's prediction, in a folder."""

from pathlib import Path

from midas_dfer.files import make_folder, write_together
from midas_dfer.predict.timeline import Timeline
from midas_dfer.progress import Progress
from midas_dfer.report.pictures.timeline_plot import plot_timeline
from midas_dfer.report.video.annotated_video import write_annotated_video


def write_prediction(
    timeline: Timeline, video: Path, folder: Path, *, annotate: bool = True, progress: Progress | None = None
) -> list[Path]:
    """Write timeline.json, timeline.csv, timeline.png and, with `annotate`, annotated.mp4.

    Args:
        timeline: what was read from the video.
        video: the video itself, for the pictures.
        folder: where to; made if it is not there.
        annotate: draw the reading into a copy of the video.
        progress: told of each frame of the annotated video.

    Returns:
        the files.

    Raises:
        JobError: one cannot be written. Then timeline.json and timeline.csv are both there or neither is; a picture or
            video that fails leaves them.
    """
    make_folder(folder)
    paths = [folder / "timeline.json", folder / "timeline.csv", folder / "timeline.png"]
    write_together({paths[0]: timeline.to_json(), paths[1]: timeline.to_csv()})
    plot_timeline(timeline, paths[2])
    if annotate:
        paths.append(folder / "annotated.mp4")
        write_annotated_video(video, timeline, paths[-1], progress=progress)
    return paths
