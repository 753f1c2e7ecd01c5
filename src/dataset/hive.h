/*
 * hive.h - the Hive layout of partitioned files: directories named column=value, escaped as Hive and Spark do.
 */
#ifndef MR_DATASET_HIVE_H
#define MR_DATASET_HIVE_H

#include "base/tz.h"
#include "col/value.h"

/* Stands for NULL, and for the empty string, which has no other name. */
#define MR_HIVE_NULL "__HIVE_DEFAULT_PARTITION__"

/* Appends `text`, with %XX for the bytes that Spark escapes: control characters, DEL and "#%'*\/:=?{[]^ */
void mr_hive_escape(struct mr_bytes *out, const char *text, size_t size);
/* The way back; a % without two hex digits behind it stays. */
void mr_hive_unescape(struct mr_bytes *out, const char *text, size_t size);
/* MR_CONFIG if rows cannot be partitioned by a column of this type (binary, interval, nested). */
enum mr_status mr_hive_check(const struct mr_field *field, struct mr_error *err);
/*
 * Appends "name=value". The value's text is what CAST(x AS STRING) gives, a timestamp's in the zone `tz` (NULL = UTC). Never
 * hidden: a name that starts with a dot has it escaped.
 */
void mr_hive_part(struct mr_bytes *out, const char *name, const struct mr_value *value,
                  const struct mr_tz *tz);

#endif
