"""A manifest and videos -> a store of aligned clips; `prepare` is the door.

- `prepare`: the whole job: resumable, on all cores, never stopped by one bad clip.
- `cutting`, `extract`: what a worker does with each clip; one video -> the face of one person.
- `pool`: worker processes that outlive the files they are given; `ray_pool`: the same on many machines.
- `crop_faces`: where faces lie in crops that somebody else has cut.
- `files`, `duplicates`: which file each clip is; the same pixels under two names.
"""
