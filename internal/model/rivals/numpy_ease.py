"""EASE as it is published, with the inverse of NumPy, timed beside ours on the same interactions (ease/rival_test.go).

    numpy_ease.py DIRECTORY ROWS ITEMS L2 SAMPLE

The directory has the interactions as compressed rows, in files of little-endian numbers without a header: items, offsets. Every
SAMPLE-th row of the weights is left there as weights. Printed are, as JSON, how many seconds the inverse took and how much
memory the process had at most, in bytes.
"""
import json
import os
import resource
import sys
import time

import numpy as np
import scipy.sparse as sparse

directory, rows, items, l2, sample = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
picks = np.fromfile(os.path.join(directory, "items"), dtype="<i4")
offsets = np.fromfile(os.path.join(directory, "offsets"), dtype="<i8")
x = sparse.csr_matrix((np.ones(len(picks)), picks, offsets), shape=(rows, items))
gram = (x.T @ x).toarray()
gram[np.diag_indices(items)] += l2
began = time.perf_counter()
inverse = np.linalg.inv(gram)
seconds = time.perf_counter() - began
weights = -inverse[::sample] / np.diag(inverse)
weights[np.arange(len(weights)), np.arange(0, items, sample)] = 0
weights.astype("<f8").tofile(os.path.join(directory, "weights"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
print(json.dumps({"seconds": seconds, "bytes": peak}))
