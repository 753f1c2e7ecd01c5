/*
 * avro_json.h - private to the schema parser: a JSON value as Avro data.
 */
#ifndef MR_ENC_AVRO_JSON_H
#define MR_ENC_AVRO_JSON_H

#include "enc/avro_schema.h"

#include <jansson.h>

/* Appends the datum. False when the value does not fit the schema (what was appended is then waste). */
bool mr_avro_encode_json(const struct mr_avro_schema *schema, const json_t *value, int depth,
                         struct mr_bytes *out);

#endif
