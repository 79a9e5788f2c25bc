"""From the words of a command line to components: composed by Hydra, checked, planned and built, once."""
