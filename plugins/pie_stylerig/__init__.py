"""The rig network (StyleRig): moves a latent so that one block of the face's coefficients becomes what is asked."""
