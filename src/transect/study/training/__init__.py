"""One network trained: plain PyTorch."""
