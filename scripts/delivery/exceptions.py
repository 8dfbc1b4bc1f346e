"""What a checker may find all the same: scripts/delivery/exceptions.tsv, each with its reason.

A line is tool, rule, path (a glob) and reason, with tabs between them. An exception that nothing needs any more is a
fault itself: what it would hide next is not what it was made for.
"""

import fnmatch
import pathlib

FILE = pathlib.Path(__file__).resolve().parent / "exceptions.tsv"


def exceptions(tool):
    """Rule, path and reason of every exception for this tool."""
    found = []
    for number, line in enumerate(FILE.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 4 or not all(field.strip() for field in fields):
            raise ValueError(f"{FILE.name}:{number}: tool, rule, path and reason are expected, with tabs between them")
        if fields[0] == tool:
            found.append(tuple(fields[1:]))
    return found


class Exceptions:
    """Answers whether a finding is excepted, and remembers which exceptions were needed."""

    def __init__(self, tool):
        self.tool, self.all, self.needed = tool, exceptions(tool), set()

    def cover(self, rule, path):
        hits = {entry for entry in self.all if entry[0] == rule and fnmatch.fnmatch(path, entry[1])}
        self.needed |= hits
        return bool(hits)

    def unneeded(self):
        """A sentence for each exception that covered nothing."""
        left = [entry for entry in self.all if entry not in self.needed]
        return [f"{FILE.name}: nothing needs {self.tool} {rule} {path} any more" for rule, path, _ in left]
