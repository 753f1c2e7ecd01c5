/*
 * json_infer.h - a schema out of a sample of JSON objects.
 *
 * Columns in the order in which keys first come. BIGINT, DECIMAL(38,0) for longer integers, DOUBLE, BOOLEAN, STRING (dates stay strings),
 * structs and arrays; kinds that do not go together are STRING, which takes any JSON; so are columns of NULLs only, empty
 * objects, and what nests deeper than 30 levels.
 */
#ifndef MR_ENC_JSON_INFER_H
#define MR_ENC_JSON_INFER_H

#include "col/type.h"

struct mr_json_guess;

/* In the arena, which also the schema is made in. */
enum mr_status mr_json_guess_new(struct mr_arena *arena, struct mr_json_guess **out,
                                 struct mr_error *err);
void mr_json_guess_free(struct mr_json_guess *guess);
/* Takes a record into account; one that is no JSON object is passed over. */
enum mr_status mr_json_guess_record(struct mr_json_guess *guess, struct mr_slice text,
                                    struct mr_error *err);
enum mr_status mr_json_guess_schema(const struct mr_json_guess *guess, const struct mr_schema **out,
                                    struct mr_error *err);

#endif
