"""Draw the README's first picture: the demo's real face, as the packaged reader reads it.

`python -m studies.readme_picture` rewrites docs/images/real_face.png, and says what it shows.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from midas_dfer.demo import read_real_face

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "real_face.png"


def main() -> None:
    """Do it."""
    with TemporaryDirectory() as folder:
        paths = read_real_face(Path(folder))
        shutil.copyfile(next(path for path in paths if path.suffix == ".png"), PICTURE)
    print(f"  {PICTURE}")


if __name__ == "__main__":
    main()
