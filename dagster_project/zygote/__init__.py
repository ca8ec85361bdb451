"""The zygote: a process that has loaded all definitions and forks run workers in milliseconds.

`python -m dagster_project.zygote` serves requests on a socket in the run folder. It has one thread and no database
connection, because only such a process can be forked safely. It checks this before every fork and refuses to fork
otherwise. When code changes, it replaces itself by `exec` and keeps its process id, its socket, and its children.
"""
