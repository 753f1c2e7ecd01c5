/*
 * expr_fixture.h - expressions as data: what they give over a fixed batch of four rows.
 */
#ifndef MR_TESTS_EXPR_FIXTURE_H
#define MR_TESTS_EXPR_FIXTURE_H

#include "sql/expr.h"

/*
 * The expected text: the values of the rows joined by " | " (one value when all rows are equal), NULL as "NULL"; with "type:" in front, the
 * type is compared too. "!part": an error (when compiled or evaluated) whose message contains the part.
 */
struct expr_case {
    const char *expression;
    const char *expected;
};
struct expr_cases {
    const struct expr_case *cases;
    size_t count;
};

enum session_kind { ANSI_UTC, ANSI_BERLIN, LEGACY_UTC };

/* The encodings that the columns of the batch come in. */
enum batch_kind { BATCH_FLAT, BATCH_DICTIONARY, BATCH_SELECTION };

struct expr_fixture;
struct expr_fixture *expr_fixture_new(enum session_kind session);
void expr_fixture_free(struct expr_fixture *fixture);
/* Returns the number of cases that differ; prints each. */
int expr_fixture_run(struct expr_fixture *fixture, enum batch_kind kind,
                     const struct expr_case *cases, size_t count);
/* One expression over one batch: the rows' values as text (struct expr_case). MR_INTERNAL: the result breaks an invariant. */
enum mr_status expr_fixture_evaluate(struct expr_fixture *fixture, enum batch_kind kind,
                                     struct mr_arena *arena, const char *text, bool with_type,
                                     struct mr_bytes *out, struct mr_error *err);
const struct mr_schema *expr_fixture_schema(const struct expr_fixture *fixture);
const struct mr_sql_session *expr_fixture_session(const struct expr_fixture *fixture);

extern const struct expr_cases cases_core, cases_cast, cases_legacy, cases_berlin, cases_errors;

#endif
