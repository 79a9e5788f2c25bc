"""Deep3DFaceRecon's coefficient network (Deng et al. 2019) as a face encoder."""
