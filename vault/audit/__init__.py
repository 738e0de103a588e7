"""The audit trail: entries, Merkle tree, checkpoints, tiles, export, verification."""
