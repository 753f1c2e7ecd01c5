/*
 * json.h - what the functions of JSON share: parsed documents kept by node and thread, and values written as Spark's Jackson does.
 */
#ifndef MR_SQL_JSON_H
#define MR_SQL_JSON_H

#include "enc/json_tree.h"
#include "sql/function.h"

/* What Spark's JSON functions read beyond RFC 8259. */
#define MR_JSON_SPARK_RULES (MR_JSON_SINGLE_QUOTES | MR_JSON_CONTROLS | MR_JSON_TRAILING)

/* Reused from row to row. */
struct mr_json_state {
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    struct mr_bytes out;
};
/* NULL: out of memory, told in call->err. */
struct mr_json_state *mr_json_state_of(struct mr_call *call);

/*
 * Parses a row's document. False: it is not JSON (or blank: tree.count is 0); *status changes when there is no memory.
 */
bool mr_json_parse_row(struct mr_call *call, struct mr_json_state *state, struct mr_slice text,
                       unsigned rules, enum mr_status *status);

/* Jackson's copyCurrentStructure: compact, escapes made anew, fractions as Java prints doubles. */
void mr_json_copy(const struct mr_json_tree *tree, uint32_t node, struct mr_bytes *scratch,
                  struct mr_bytes *out);
/* A JSON string with Jackson's escapes. */
void mr_json_put_string(struct mr_slice text, struct mr_bytes *out);
/* BigDecimal.toString: scientific when the exponent is less than -6. */
void mr_json_put_decimal(mr_int128 value, int scale, struct mr_bytes *out);
/* Does the member have this key? */
bool mr_json_key_is(const struct mr_json_tree *tree, uint32_t node, struct mr_slice key,
                    struct mr_bytes *scratch);
/* Options given as map('name', 'text', ...): the value of one, or {NULL, 0}. MR_CONFIG when the argument is no such map. */
enum mr_status mr_json_options(struct mr_binding *binding, int arg, const char *const *known,
                               struct mr_slice *values);

#endif
