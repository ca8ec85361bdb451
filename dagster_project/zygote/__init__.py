"""The warm process: it has the definitions loaded and forks a run worker in milliseconds.

`python -m dagster_project.zygote` serves requests on a socket in the run folder. It is one thread without a database
connection, because only such a process may be forked at any moment; it checks that itself and refuses to fork
otherwise. When code changes it replaces itself by `exec`, keeping its process id, its socket and its children.
"""
