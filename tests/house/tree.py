"""The files of the source tree, for the house tests: what a fresh clone has, without build folders."""

import os


def files(root):
    """Yields the paths of all files below root, relative to it, with '/'."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name for name in subfolders
            if not name.startswith((".", "build")) and name != "__pycache__"
            and not os.path.isdir(os.path.join(folder, name, "meson-private")))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()
