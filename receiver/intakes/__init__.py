"""What links hand their bytes to: each kind of them, framed, decoded, given to the pipeline."""
