"""What Apache Spark 3.5.7 (ANSI on, one thread) gives for windows over eight rows: data for test_windows.py."""

NAN = float("nan")

# id, k, v, s, d
ROWS = [
    (1, 1, 5, 'a', 1.5),
    (2, 1, None, 'b', 2.5),
    (3, 1, 7, None, None),
    (4, 1, 7, 'd', NAN),
    (5, 2, None, 'e', 0.5),
    (6, 2, 1, None, -0.0),
    (7, 2, None, 'g', 3.0),
    (8, 1, 2147483647, 'h', 9.0),
]

# columns, partitionBy, orderBy, frame, rows by id
CASES = [
    ({'a': 'sum(v)', 'b': 'count(v)', 'c': 'min(d)', 'e': 'max(d)'}, ['k'], ['v'], 'RANGE BETWEEN 2 PRECEDING AND CURRENT ROW', [
        (1, 5, 1, 1.5, 1.5),
        (2, None, 0, 2.5, 2.5),
        (3, 19, 3, 1.5, NAN),
        (4, 19, 3, 1.5, NAN),
        (5, None, 0, 0.5, 3.0),
        (6, 1, 1, -0.0, -0.0),
        (7, None, 0, 0.5, 3.0),
        (8, 2147483647, 1, 9.0, 9.0),
    ]),
    ({'a': 'sum(v)', 'b': 'count(*)', 'c': 'avg(v)'}, ['k'], ['v DESC'], 'RANGE BETWEEN CURRENT ROW AND 6 FOLLOWING', [
        (1, 5, 1, 5.0),
        (2, None, 1, None),
        (3, 19, 3, 6.333333333333333),
        (4, 19, 3, 6.333333333333333),
        (5, None, 2, None),
        (6, 1, 1, 1.0),
        (7, None, 2, None),
        (8, 2147483647, 1, 2147483647.0),
    ]),
    ({'a': "lag(s, 2, 'zz')", 'b': 'lead(v, 1, 0)', 'c': 'nth_value(s, 2)', 'e': 'first_value(s) IGNORE NULLS', 'f': 'last_value(s)'}, ['k'], ['id'], None, [
        (1, 'zz', None, None, 'a', 'a'),
        (2, 'zz', 7, 'b', 'a', 'b'),
        (3, 'a', 7, 'b', 'a', None),
        (4, 'b', 2147483647, 'b', 'a', 'd'),
        (5, 'zz', 1, None, 'e', 'e'),
        (6, 'zz', None, None, 'e', None),
        (7, 'e', 0, None, 'e', 'g'),
        (8, None, 0, 'b', 'a', 'h'),
    ]),
    ({'a': 'percent_rank()', 'b': 'cume_dist()', 'c': 'ntile(3)', 'e': 'rank()', 'f': 'dense_rank()'}, ['k'], ['v'], None, [
        (1, 0.25, 0.4, 1, 2, 2),
        (2, 0.0, 0.2, 1, 1, 1),
        (3, 0.5, 0.8, 2, 3, 3),
        (4, 0.5, 0.8, 2, 3, 3),
        (5, 0.0, 0.6666666666666666, 1, 1, 1),
        (6, 1.0, 1.0, 3, 3, 2),
        (7, 0.0, 0.6666666666666666, 2, 1, 1),
        (8, 1.0, 1.0, 3, 5, 4),
    ]),
    ({'a': 'collect_list(s)', 'b': 'stddev(v)', 'c': 'sum(d)', 'e': 'avg(d)'}, ['k'], ['id'], 'ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING', [
        (1, [], None, None, None),
        (2, ['a'], None, 1.5, 1.5),
        (3, ['a', 'b'], None, 4.0, 2.0),
        (4, ['b'], None, 2.5, 2.5),
        (5, [], None, None, None),
        (6, ['e'], None, 0.5, 0.5),
        (7, ['e'], None, 0.5, 0.25),
        (8, ['d'], 0.0, NAN, NAN),
    ]),
    ({'a': 'lag(s) IGNORE NULLS', 'b': "lead(s, 1, 'q') IGNORE NULLS", 'c': 'sum(v) / count(v)'}, ['k'], ['id'], None, [
        (1, None, 'b', 5.0),
        (2, 'a', 'd', 5.0),
        (3, 'b', 'd', 6.0),
        (4, 'b', 'h', 6.333333333333333),
        (5, None, 'g', None),
        (6, 'e', 'g', 1.0),
        (7, 'e', 'q', 1.0),
        (8, 'd', 'q', 536870916.5),
    ]),
]
