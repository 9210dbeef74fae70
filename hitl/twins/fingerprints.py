"""What makes items alike: signatures whose equal places say how much two items have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from hitl.twins.plain_text import plain
from hitl.twins.shingles import LETTERS, SIGNS, mixed, shingles

Signatures = NDArray[np.uint8]
Int64 = NDArray[np.int64]

PLACES = 128
BANDS = 16
BAND_PLACES = 6
_SEED = 20_261_126
_PLAIN_TEXT = 1
"""Goes up with every change of what `plain` or `shingles` give."""


@dataclass(frozen=True)
class Scheme:
    """How items of one kind are compared. Another scheme knows nothing of this one's items.

    Signatures are (N, places), a byte each. Two items whose signatures are equal in one band (of
    `bands`, each of `band_places` places, from the first on) are looked at, and are alike where
    `least_equal` places or more are equal. `made_by` says what makes the signatures, so that those
    of another version are never compared with these.
    """

    kind: str
    made_by: str
    places: int
    bands: int
    band_places: int
    least_equal: int

    def __post_init__(self) -> None:
        if not 0 < self.bands * self.band_places <= self.places or self.band_places > 8:
            raise ValueError(f"{self.bands} bands of {self.band_places} places do not fit")

    @cached_property
    def name(self) -> str:
        """`kind-fingerprint`; changes with any value of it."""
        body = json.dumps(asdict(self), sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(body.encode()).hexdigest()[:12]}"

    @cached_property
    def salt(self) -> np.uint64:
        return np.uint64(int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8]))


def text_scheme(least_similarity: float) -> Scheme:
    """Texts are alike from this Jaccard similarity of their runs of characters on, as estimated.

    A byte a place: equal by chance one time in 256, which the bar allows for. Its standard
    deviation is about .04, and .03 at .8. Of pairs at .7 the bands find 87 %, at .8 99 %.
    """
    chance = 1.0 / 256.0
    share = least_similarity * (1.0 - chance) + chance
    return Scheme(
        kind="text",
        made_by=f"plain {_PLAIN_TEXT}, runs {LETTERS} {SIGNS}, "
        f"rensa RMinHash {RMinHash.ALGORITHM_VERSION}, seed {_SEED}",
        places=PLACES,
        bands=BANDS,
        band_places=BAND_PLACES,
        least_equal=ceil(share * PLACES - 1e-9),
    )


def text_signatures(texts: Sequence[str]) -> Signatures:
    """Shape (N, PLACES): the lowest byte of each place of the texts' MinHash.

    Source: b-bit minwise hashing (Li and König, 2010) of R-MinHash.
    """
    if not texts:
        return np.empty((0, PLACES), dtype=np.uint8)
    hashes, starts = shingles([plain(one) for one in texts])
    made = RMinHash.digest_matrix_from_flat_token_hashes(hashes, starts, PLACES, _SEED)
    places = np.array(made.to_rows(), dtype=np.uint32)
    return np.ascontiguousarray(places.astype(np.uint8))


def form_ids(scheme: Scheme, signatures: Signatures) -> Int64:
    """Shape (N,): a number of 64 bits for each signature, equal where these are.

    Of ten million signatures two share a number by accident three times in a million.
    """
    rows = np.ascontiguousarray(signatures)
    salt = scheme.salt.tobytes()
    made = [
        int.from_bytes(hashlib.blake2b(row, digest_size=8, salt=salt).digest(), signed=True)
        for row in rows
    ]
    return np.array(made, dtype=np.int64)


def buckets(scheme: Scheme, signatures: Signatures) -> Int64:
    """Shape (N, bands): equal in a column where all places of that band are."""
    used = scheme.bands * scheme.band_places
    bands = signatures[:, :used].reshape(len(signatures), scheme.bands, scheme.band_places)
    eight = np.zeros((len(signatures), scheme.bands, 8), dtype=np.uint8)
    eight[:, :, : scheme.band_places] = bands
    words = eight.view("<u8")[:, :, 0].astype(np.uint64)
    numbers = np.arange(scheme.bands, dtype=np.uint64) + scheme.salt
    return mixed(mixed(words) ^ mixed(numbers)[None, :]).view(np.int64)
