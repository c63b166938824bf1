"""`midas app`: pages on this machine that read faces in videos and from a camera.

- `server`: the routes, and the process that serves them.
- `safety`: who may ask for what: keys, hosts, origins, and what a page may load.
- `addresses`: what the server is called, here and by other machines.
- `words`: the texts of the pages, in several languages; all of them are in `words.toml`.
- `uploads`: videos that a browser sends, bounded and removed again.
- `videos`: the routes by which videos are read.
- `readings`: videos being read, one after the other, with their progress.
- `live`: a camera's frames, read as they come.
- `annotate`: votes of several people on the clips of a folder; `voting` has its routes.
- `pipeline`: from votes to a model; `making` has its routes.
- `playable`: videos that a browser plays.
- `faults`: errors of ours in threads.
- `requests`: what pages send.

Pages are in `templates/`, scripts and styles in `static/`. Nothing is loaded from elsewhere.
"""
