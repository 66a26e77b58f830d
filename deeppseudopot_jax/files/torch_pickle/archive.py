"""The zip archive around a PyTorch checkpoint: `<root>/data.pkl`, `<root>/data/<key>`, ..."""

import zipfile
from pathlib import Path

from deeppseudopot_jax.files.findings import BundleError, Finding
from deeppseudopot_jax.files.regular import CHECKPOINT_LIMIT, open_regular

PICKLE = "data.pkl"
BYTE_ORDER = "byteorder"
VERSION = "version"
_RESAVE = "a zip checkpoint: torch.save(torch.load(file), file) in PyTorch 1.6 or later makes one"


def storage_entry(key: str) -> str:
    """The name of the entry with the bytes of storage `key`."""
    return f"data/{key}"


def read_archive(path: Path) -> dict[str, bytes]:
    """Every entry below the archive's root folder, by its name there.

    Raises:
        BundleError: if the file is missing, damaged, not such an archive, or would unpack to more
            than its own size.
    """
    try:
        with open_regular(path, CHECKPOINT_LIMIT) as file, zipfile.ZipFile(file) as archive:
            return _read_entries(archive, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        message = f"is damaged or not a zip file ({error})"
        raise BundleError([Finding(path.name, message, legal=_RESAVE)]) from error


def _read_entries(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    entries = archive.infolist()
    pickles = [entry.filename for entry in entries if entry.filename.endswith(f"/{PICKLE}")]
    if len(pickles) != 1:
        raise BundleError([Finding(path.name, f"has {len(pickles)} {PICKLE} in it", legal=_RESAVE)])
    # PyTorch stores entries plain, one after the other; anything else could be a zip bomb.
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            message = f"the entry {entry.filename} is compressed or encrypted"
            raise BundleError([Finding(path.name, message, legal=_RESAVE)])
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise BundleError([Finding(path.name, "its entries overlap", legal=_RESAVE)])
    root = pickles[0].removesuffix(PICKLE)
    return {
        entry.filename.removeprefix(root): archive.read(entry)
        for entry in entries
        if entry.filename.startswith(root)
    }
