"""Parametric face models of pie-framework: rigid pose, identity, expression, albedo and light as one vector."""
