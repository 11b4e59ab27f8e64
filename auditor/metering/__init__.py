"""Metering: the node agent, its lease, the journals and the study folder.

All file input and output of the ledger is in this room.
"""
