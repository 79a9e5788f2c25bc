"""StyleGAN generators for pie_framework; importing this package loads no torch."""
