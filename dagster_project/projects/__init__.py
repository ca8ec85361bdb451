"""One component instance per project with published definitions; `instances` finds the projects."""
