"""The inputs of mappings, kept in the store until the mapping has ended, so that the next server can resume it.

They are written, read and deleted in blocks, each in a transaction of its own: other writers wait for a few blocks at most, and one
block is in memory at a time. A mapping's execution is opened after the last block, so an open mapping has all of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from .database import Database
from .rows import StoredMapping

BLOCK = 64 * 1024
"""Bytes of encoded inputs after which a block ends."""

_BLOCKS_TO_CHECKPOINT = 100
"""After so many blocks this thread puts away what they have piled up, before a commit of another writer has to do it."""

_BLOCKS_TO_DELETE = 4
"""How many blocks one transaction deletes."""

_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class MappingInputs:
    """Writes, reads and deletes the inputs of mappings. Every method raises ``StoreError`` if the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, inputs: Iterable[bytes], engine_id: int) -> StoredMapping:
        """Store the encoded inputs of each call, in order. If ``inputs`` raises, nothing is left of them."""
        mapping = self._database.insert("open_mapping", {"engine_id": engine_id})
        try:
            return StoredMapping(mapping, self._store_blocks(mapping, inputs))
        except BaseException:
            while self._delete_blocks(mapping):
                pass
            raise

    def _store_blocks(self, mapping: int, inputs: Iterable[bytes]) -> int:
        first = blocks = size = 0
        block: list[bytes] = []
        for encoded in inputs:
            block.append(encoded)
            size += len(encoded)
            if size >= BLOCK:
                self._store_block(mapping, first, block)
                first, blocks, size, block = first + len(block), blocks + 1, 0, []
                if blocks % _BLOCKS_TO_CHECKPOINT == 0:
                    self._database.checkpoint()
        if block:
            self._store_block(mapping, first, block)
        return first + len(block)

    def _store_block(self, mapping: int, first: int, block: list[bytes]) -> None:
        text = f"[{b','.join(block).decode()}]"
        self._database.execute("store_inputs", {"mapping_id": mapping, "first": first, "inputs": text})

    def begin(self, mapping: StoredMapping, execution_id: int) -> None:
        """Make them the inputs of this execution, as part of the transaction that opens it."""
        values = {"mapping_id": mapping.id, "size": mapping.size, "execution_id": execution_id}
        self._database.execute("start_mapping", values)

    def find(self, execution_id: int) -> StoredMapping | None:
        """The mapping that an execution is; None if its inputs are not in the store."""
        rows = self._database.read("mapping_of", {"execution_id": execution_id})
        return StoredMapping(*rows[0]) if rows else None

    def read(self, mapping: StoredMapping, position: int = 0) -> Iterator[msgspec.Raw]:
        """The encoded inputs of each call from this position on."""
        while position < mapping.size:
            rows = self._database.read("stored_inputs", {"mapping_id": mapping.id, "position": position})
            first, text = rows[0]
            block = _raw_list.decode(text)
            yield from block[position - first :]
            position = first + len(block)

    def delete_ended(self) -> bool:
        """Delete a few blocks of what is no longer needed; whether there may be more."""
        rows = self._database.read("ended_mapping")
        if rows:
            self._delete_blocks(rows[0][0])
        return bool(rows)

    def _delete_blocks(self, mapping: int) -> bool:
        """Delete some blocks of a mapping, or the mapping itself after the last one; whether there may be more."""
        with self._database.transaction():
            values = {"mapping_id": mapping, "count": _BLOCKS_TO_DELETE - 1}
            deleted = self._database.execute("delete_inputs", values)
            if not deleted:
                self._database.execute("delete_mapping", {"mapping_id": mapping})
        return deleted > 0
