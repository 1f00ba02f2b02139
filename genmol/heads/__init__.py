"""Read-outs of backbones."""
