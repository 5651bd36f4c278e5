"""ZeRO, told in DeepSpeed's own JSON: one file a stage."""
