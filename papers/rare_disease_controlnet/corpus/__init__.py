"""Where synthetic films are kept, with the jobs that made them and what was decided about them.

Facts are rows of a database (`tables`), films are files named by their bytes (`store`); `corpus`
opens both. Jobs are taken by `queue`, judged by `decisions`, frozen by `snapshots`, made again from
their `lineage`, and leave by `export`.
"""
