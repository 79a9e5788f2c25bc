"""Tools for authors of plugins: a new distribution from templates, and the checks of a component that is declared."""
