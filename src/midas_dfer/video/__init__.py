"""Videos in and out. `iter_frames` is the door: frames with their times.

- `read`, `opening`, `clock`, `stills`, `pictures`: videos, animations, folders of pictures.
- `shown`, `aperture`, `deinterlace`: mirror, turn, crop and pixel shape that a file asks for.
- `ahead`: frames decoded before they are asked for.
- `write`: frames -> a file. `suffixes`: names that are media.
"""
