"""Devices and processes: meshes, row shards, memory, preemption."""
