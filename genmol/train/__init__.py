"""Training: recipes, one Lightning module for every task, checkpoints, and a run that survives a kill.

Lightning and TensorBoard come with the extra ``train`` and take seconds to import, so nothing is
imported here.
"""
