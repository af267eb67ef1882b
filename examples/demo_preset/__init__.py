"""What `examples/train_demo_preset.py` is made of: photographs, training, scores."""
