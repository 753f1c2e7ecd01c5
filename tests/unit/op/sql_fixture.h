/*
 * sql_fixture.h - a registry of methods that only have options, two or three frames, and queries over
 * them as parts in text. Shared by the unit tests and the fuzz target.
 */
#ifndef MR_TESTS_OP_SQL_FIXTURE_H
#define MR_TESTS_OP_SQL_FIXTURE_H

#include "base/arena.h"
#include "ext/op.h"

/*
 * Frames: t(id int not null, k int, name string, v double, d date), u(id int, k bigint, w
 * decimal(10,2)), s(id int not null, p struct<x int, y string>, a array<int>).
 *
 * *out: a line a part, "0 filterRows WHERE (t) condition: k > 1".
 */
enum mr_status sql_fixture_expand(struct mr_arena *arena, const char *query, struct mr_bytes *out,
                                  struct mr_error *err);

#endif
