"""The alternating least squares of `implicit`, timed beside ours on the same interactions. ials/rival_test.go asks one request a
line, as JSON, and reads one answer a line:

    {"do": "load", "dir": ..., "rows": ..., "items": ..., "factors": ..., "alpha": ..., "regularization": ..., "threads": ...}
                          takes the interactions, and the factors to begin with, from files of the directory: interactions
    {"do": "iterate"}     solves both sides once: seconds
    {"do": "save"}        leaves the factors in the directory

Numbers in files are little-endian, without a header. Only the iteration is timed, as `implicit` itself times it.
"""
import json
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as implicit asks: it has threads of its own

import numpy as np
import scipy.sparse as sparse
from implicit.cpu.als import AlternatingLeastSquares


class Rival:
    def load(self, dir, rows, items, factors, alpha, regularization, threads):
        def read(name, kind):
            return np.fromfile(os.path.join(dir, name), dtype=kind)

        self.dir = dir
        picks = read("items", "<i4")
        self.matrix = sparse.csr_matrix(
            (np.ones(len(picks), dtype=np.float32), picks, read("offsets", "<i8")), shape=(rows, items))
        self.model = AlternatingLeastSquares(
            factors=factors, alpha=alpha, regularization=regularization, iterations=1, num_threads=threads)
        self.model.user_factors = read("row-factors", "<f4").reshape(rows, factors)
        self.model.item_factors = read("item-factors", "<f4").reshape(items, factors)
        return {"interactions": int(self.matrix.nnz)}

    def iterate(self):
        seconds = []
        self.model.fit(self.matrix, show_progress=False, callback=lambda _, took, __: seconds.append(took))
        return {"seconds": seconds[0]}

    def save(self):
        self.model.user_factors.astype("<f4").tofile(os.path.join(self.dir, "row-factors"))
        self.model.item_factors.astype("<f4").tofile(os.path.join(self.dir, "item-factors"))
        return {}


rival = Rival()
for line in sys.stdin:
    request = json.loads(line)
    answer = getattr(rival, request.pop("do"))(**request)
    print(json.dumps(answer), flush=True)
