"""History: each change of spec that a controller's informer saw, in a file of its own, and what was not seen.

    informer -> keeper (queue) -> recording (pure: rows and gaps) -> archive (SQLite)
    read API -> routes -> archive -> lookup (pure: what stood at a revision, which gaps an answer touches)

The archive is a witness and no truth: it never writes into etcd, and what it did not see it says so. A slow or full
disk costs history, and nothing else. See docs/design/history.md.
"""
