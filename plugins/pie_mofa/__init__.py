"""The face encoder (MoFA): from a portrait to the coefficients of a 3D morphable face model."""
