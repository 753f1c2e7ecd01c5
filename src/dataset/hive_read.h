/*
 * hive_read.h - the way back from directories named column=value: their columns, types and values.
 */
#ifndef MR_DATASET_HIVE_READ_H
#define MR_DATASET_HIVE_READ_H

#include "dataset/hive.h"

/*
 * One directory of a path, without its slash: name=value, both unescaped into the arena; *value NULL
 * for NULL (MR_HIVE_NULL, or nothing behind the '='), *name NULL for an ordinary directory.
 */
enum mr_status mr_hive_read_part(struct mr_slice directory, struct mr_arena *arena,
                                 const char **name, const char **value, struct mr_error *err);

/* What the texts of a column look like, as Spark infers it. */
enum mr_hive_guess {
    MR_HIVE_GUESS_NULL, /* only NULLs so far */
    MR_HIVE_GUESS_INT,
    MR_HIVE_GUESS_BIGINT,
    MR_HIVE_GUESS_DOUBLE,
    MR_HIVE_GUESS_DATE,
    MR_HIVE_GUESS_TIMESTAMP,
    MR_HIVE_GUESS_STRING,
};
enum mr_hive_guess mr_hive_guess(const char *value);
/* What holds both without loss: int and bigint, int and double, date and timestamp; else STRING. */
enum mr_hive_guess mr_hive_widen(enum mr_hive_guess a, enum mr_hive_guess b);
/* Of a column without any value: STRING. */
const struct mr_type *mr_hive_type(enum mr_hive_guess guess);

/*
 * The text as a value of a type; instants without an offset are in the zone `tz` (NULL = UTC). False
 * when it is not one. Bytes are borrowed from `text`; NULL gives NULL.
 */
bool mr_hive_value(const char *text, const struct mr_type *type, const struct mr_tz *tz,
                   struct mr_value *out);

#endif
