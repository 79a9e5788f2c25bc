"""Public checkpoints: a catalogue, how to get them, and how to turn them into safetensors."""
