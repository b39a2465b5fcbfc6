"""worker.py - a peer behind a pipe: the protocol of engine_worker.c, for the Python workers."""

import json
import os
import sys
import time


def token_at(position, vocab_size):
    """Token `position` of every sequence; the same in engine_worker.c."""
    return 1 if position == 0 else 3 + (position * 7919 + 12345) % (vocab_size - 3)


class Worker:
    """What a peer has to bring: run(lane, tokens), cut(lane, n), and self.row, the last logits."""

    def __init__(self, vocab_size, lanes, call):
        self.vocab_size, self.call = vocab_size, call
        self.depth = [0] * lanes
        self.row = None  # float32 array of the last call's logits

    def feed(self, lane, n, want_logits):
        """Wall and processor time of one call, in ns."""
        first = self.depth[lane]
        tokens = [token_at(first + i, self.vocab_size) for i in range(n)]
        cpu, wall = time.process_time_ns(), time.monotonic_ns()
        self.run(lane, tokens, want_logits)
        taken = time.monotonic_ns() - wall, time.process_time_ns() - cpu
        self.depth[lane] = first + n
        return taken

    def obey(self, words):
        verb, lane = words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        n = int(words[2]) if len(words) > 2 else 0
        if verb == "time":
            first = self.depth[lane]
            wall, cpu = self.feed(lane, n, True)
            return {"ns": wall, "cpu_ns": cpu, "from": first}
        if verb == "fill":
            while n > 0:
                some = min(n, self.call)
                self.feed(lane, some, False)
                n -= some
        elif verb == "logits":
            self.row.tofile(words[1])
        elif verb in ("reset", "back"):
            self.cut(lane, n)
            self.depth[lane] = n
        else:
            raise ValueError(f"unknown verb {verb}")
        return {"depth": self.depth[lane]}

    def serve(self, facts):
        """Answers until stdin ends. Only answers go to stdout; libraries' chatter goes to stderr."""
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        print(json.dumps(facts), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(self.obey(line.split())), file=answers, flush=True)
